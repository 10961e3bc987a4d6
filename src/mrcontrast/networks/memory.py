"""Bytes of weights, and of the tensors that are alive at once."""

import weakref
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def weight_bytes(stage: nn.Module) -> int:
    """Return the bytes of parameters and buffers."""
    tensors = [*stage.parameters(), *stage.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class LiveBytes(TorchDispatchMode):
    """Sum of the tensors that operators have made and that are still referenced."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self.seen: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Run one operator and count its results."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.add(tensor)
        self.peak = max(self.peak, self.alive)
        return result

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's storage until it is freed."""
        storage = tensor.untyped_storage()
        if (key := storage._cdata) not in self.seen:
            self.seen[key] = storage.nbytes()
            self.alive += self.seen[key]
            weakref.finalize(storage, self.drop, key)

    def drop(self, key: int) -> None:
        """Subtract a storage that is freed."""
        self.alive -= self.seen.pop(key, 0)
