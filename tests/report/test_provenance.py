"""Facts of each method from the sidecars of its volumes, ours and those of others."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from mrcontrast.report.provenance import method_facts

OURS = {
    "Stage": "controlnet",
    "WeightsSHA256": "ab" * 32,
    "Seed": 1,
    "GeneratedBy": [{"Name": "mrcontrast", "Version": "0.1.0"}],
}


def facts_of(folder: Path, *sidecars: object) -> dict[str, str]:
    sessions = {}
    for number, sidecar in enumerate(sidecars):
        path = folder / f"{number}.nii.gz"
        (folder / f"{number}.json").write_text(json.dumps(sidecar))
        case = SimpleNamespace(predictions={"method": path})
        sessions[str(number)] = SimpleNamespace(case=case)
    return method_facts(sessions, ["method"])["method"]


def test_prompts_and_sources_are_named_where_there_are_any(tmp_path: Path) -> None:
    assert "Prompt" not in facts_of(tmp_path, OURS)
    control = {"Model": "runs/of_t2w", "Scale": 0.8}
    more = {"NegativePrompt": "sex=f", "Guidance": 2.0, "MissingSources": ["t2w", "edges"]}
    both = [OURS | more | {"Prompt": f"age={age}", "Controls": [control]} for age in (30, 40)]
    found = facts_of(tmp_path, *both)
    assert found["Prompt"] == "one a subject, in its sidecar"
    assert found["Negative prompt"] == "sex=f"
    assert found["Guidance"] == "2.0"
    assert found["Missing sources"] == "t2w, edges"
    assert found["Further ControlNets"] == "of_t2w:0.8"
    assert found["Sampling seed"] == "1"
    assert found["Made by"] == "mrcontrast 0.1.0"


@pytest.mark.parametrize(
    "theirs",
    [
        {"Manufacturer": "GE", "Seed": [1]},
        {"GeneratedBy": [{"Name": "dcm2niix", "Version": "1"}]},
        {"GeneratedBy": {"Name": "mrcontrast"}},
        {"GeneratedBy": ["mrcontrast", 3]},
        ["mrcontrast"],
    ],
)
def test_a_sidecar_of_another_system_says_nothing(tmp_path: Path, theirs: object) -> None:
    assert facts_of(tmp_path, theirs) == {"Made by": "no sidecar: another system"}
