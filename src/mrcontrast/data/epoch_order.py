"""The order of training items: decided by seed and epoch, entered at any batch."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, DistributedSampler

from mrcontrast.data.augmentation import draw_seed


class EpochOrder(DistributedSampler[int]):
    """Shuffled keys of one epoch, ``epoch * len(items) + item``, from the next batch on.

    It holds no state: how many batches each process has trained on, which Lightning keeps in its
    checkpoints, gives the epoch and the place in it. It is a ``DistributedSampler`` so that
    Lightning leaves it in place where several processes share an epoch.
    """

    def __init__(
        self,
        items: Dataset,
        batch_size: int,
        seed: int,
        batches_seen: Callable[[], int],
        processes: int = 1,
        process: int = 0,
    ) -> None:
        super().__init__(items, processes, process, seed=draw_seed("order", seed))
        self.batch_size, self.batches_seen = batch_size, batches_seen
        self.drop_last_batch = len(self) >= batch_size
        self.batches = max(len(self) // batch_size, 1)

    def __iter__(self) -> Iterator[int]:
        self.epoch, batch = divmod(self.batches_seen(), self.batches)
        first_key = self.epoch * len(self.dataset)  # type: ignore[arg-type]
        items = list(super().__iter__())[batch * self.batch_size :]
        return (first_key + item for item in items)


class LateLoader(DataLoader):
    """A loader that asks for its order when the first batch is wanted.

    Lightning opens the loader before it has read where a resumed training stands.
    """

    def __iter__(self) -> Any:  # noqa: ANN401 - DataLoader promises a private class
        """Yield the batches of one epoch."""
        yield from super().__iter__()
