"""The Python interface; ``mrcontrast`` exports its names and imports them when they are used."""
