"""One volume in, one volume out, whatever the method."""

from mrcontrast.draws import Draws
from mrcontrast.translator.from_run import from_run
from mrcontrast.translator.stage_translator import StageTranslator, Translation, Translator

__all__ = ["Draws", "StageTranslator", "Translation", "Translator", "from_run"]
