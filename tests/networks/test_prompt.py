"""The constant prompt: what is told, dropped, guided and stored."""

import pytest
import torch
from safetensors.torch import save_file

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.networks.prompt import Prompt


def batch(count):
    return {"source": torch.zeros(count, 1, 2, 2)}


def test_all_items_are_told_the_same_and_training_drops_some():
    prompt = Prompt(tokens=3, width=4, dropout=0.25).eval()
    assert torch.equal(prompt.context(batch(2)), prompt.prompt.expand(2, 3, 4))
    torch.manual_seed(0)
    told = prompt.train().context(batch(4000))
    null = (told == prompt.null).all(dim=(1, 2))
    assert 0.2 < null.float().mean() < 0.3
    assert torch.equal(told[~null], prompt.prompt.expand(int((~null).sum()), 3, 4))


@pytest.mark.parametrize(
    ("guidance", "expected", "calls"), [(0.0, 1.0, 1), (1.0, 3.0, 1), (7.0, 15.0, 2)]
)
def test_guidance_goes_from_null_past_the_prompt(guidance, expected, calls):
    prompt = Prompt(tokens=1, width=1, guidance=guidance)
    prompt.prompt.fill_(3.0)
    prompt.null.fill_(1.0)
    contexts = prompt.contexts(batch(2), guided=True)
    answer = prompt.predict(lambda context: context[:, 0], contexts)
    assert answer.tolist() == [[expected], [expected]]
    assert len(contexts) == prompt.calls == calls


def test_the_mean_token_is_concatenated_to_the_latent():
    prompt = Prompt(tokens=2, width=3, concatenated=True).eval()
    z = torch.zeros(2, 1, 4, 5, 6)
    joined = prompt.concatenate(z, prompt.context(batch(2)))
    assert prompt.channels == 3
    assert joined.shape == (2, 4, 4, 5, 6)
    torch.testing.assert_close(joined[0, 1:, 1, 2, 3], prompt.prompt.mean(dim=0))


def test_it_is_stored_with_the_weights_and_always_the_same():
    first, second = (Prompt(tokens=2, width=3) for _ in range(2))
    assert set(first.state_dict()) == {"prompt", "null"}
    assert torch.equal(first.prompt, second.prompt)
    assert not torch.equal(first.prompt, first.null)
    assert not list(first.parameters())


def test_a_text_encoder_can_write_it(tmp_path):
    tensors = {name: torch.rand(2, 3) for name in ("prompt", "null")}
    path = tmp_path / "prompt.safetensors"
    save_file(tensors, path)
    assert torch.equal(Prompt(tokens=2, width=3, path=str(path)).null, tensors["null"])
    with pytest.raises(MrcontrastError, match=r"shape \(2, 4\), got \(2, 3\)"):
        Prompt(tokens=2, width=4, path=str(path))
    with pytest.raises(MrcontrastError, match="got none"):
        Prompt(tokens=2, width=3, path=str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="dropout"):
        Prompt(tokens=2, width=3, dropout=1.5)
