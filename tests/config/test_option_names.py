from mrcontrast.config.build import compose


def test_a_list_of_transforms_replaces_those_by_name() -> None:
    one = "data.augmentation=[{_target_:monai.transforms.RandFlipd,keys:[source],prob:1.0}]"
    found = compose("train", ["stage=lookup", one]).data.augmentation
    assert [node["keys"] for node in found] == [["source"]]
    assert compose("train", ["stage=lookup", "data/augmentation=none"]).data.augmentation == {}


def test_no_callbacks_may_be_null() -> None:
    assert compose("train", ["stage=lookup", "callbacks=null"]).callbacks == {}
