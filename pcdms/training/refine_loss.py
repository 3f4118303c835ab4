"""The loss of stage `refine`: as published, or with a critic of pictures and its own first step.

Beyond the published error, two things sharpen a stage that is sampled in few steps, both off in
`paper`: a critic (`decoded_critic.py`), and rows that hold what the network itself predicted the
step before, since what it meets in use is its own prediction, not the noisy target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pcdms.schedulers import LatentSchedule, training_scheduler
from pcdms.training.conditions import Dropout, NullConditions
from pcdms.training.critic import Balance, Critic, WithCritic
from pcdms.training.diffusion import Noisy, add_noise, draw_latents, renoised
from pcdms.training.losses import (
    PairTable,
    PictureTable,
    Rows,
    Table,
    capped,
    device_of,
    weighted,
)

if TYPE_CHECKING:
    from pcdms.training.decoded_critic import DecodedCritic


class RefineLoss:
    """Squared error on the target's latents given the coarse picture's (paper equation 5).

    `clean` (N, 2C, h, w) holds moments of the targets a row a picture, `coarse` (P, 2C, h, w) those
    of the stage-`inpaint` pictures a row a pair. The coarse latent is dropped with probability
    `drop`, see `Dropout`. `person_weight` adds weight on the person, `min_snr` caps that of low
    noise, `shares` prefers time steps.

    A module `WithCritic` is trained with `balance` (see `critic_loss`) and needs `decoded`: the
    error of the decoded pictures and their critic are added. The network must predict the clean
    latent. With `simulated_from`, a time step of `shares`, rows at the other ones of `shares` hold
    what the network predicts at it from noise alone in place of the target, and keep their
    conditions; the critic then sees only them, and their error of latents is weighed by
    `simulated_weight`. Source: backward simulation, arXiv 2405.14867, section 4.5.
    """

    def __init__(
        self,
        pictures: PictureTable,
        pairs: PairTable,
        clean: Table,
        coarse: Table,
        schedule: LatentSchedule,
        person_weight: float = 0.0,
        drop: float = 0.1,
        noise_offset: float = 0.1,
        null: NullConditions | None = None,
        min_snr: float | None = None,
        shares: Mapping[int, float] | None = None,
        balance: Balance | None = None,
        decoded: DecodedCritic | None = None,
        simulated_from: int | None = None,
        simulated_weight: float = 1.0,
    ) -> None:
        self.pictures, self.pairs = pictures, pairs
        self.clean, self.coarse, self.decoded = clean, coarse, decoded
        self.person_weight = person_weight
        self.dropout, self.noise_offset, self.min_snr = Dropout(drop, null), noise_offset, min_snr
        self.shares, self.balance = dict(shares or {}), balance
        self.simulated_from, self.simulated_weight = simulated_from, simulated_weight
        self.scheduler = training_scheduler(schedule)

    def __len__(self) -> int:
        return len(self.pairs.source)

    def fetch(self, rows: Tensor) -> Rows:
        """Return the rows of pairs (B,)."""
        source, target = self.pairs.source[rows], self.pairs.target[rows]
        found = {
            "clean": self.clean[target],
            "coarse": self.coarse[rows],
            "tokens": self.pictures.tokens[source],
            "person": self.pictures.person[target],
        }
        if self.decoded is not None:
            found["target"] = self.decoded.pictures[target]
        return found

    def __call__(
        self, module: nn.Module, batch: Rows | Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of fetched rows, or of row numbers."""
        rows = self.fetch(batch) if isinstance(batch, Tensor) else batch
        clean = draw_latents(rows["clean"], generator)
        coarse = draw_latents(rows["coarse"], generator)
        noisy = add_noise(clean, self.scheduler, self.noise_offset, generator, self.shares)
        own = self._simulated(noisy.time)
        given, null = self.dropout.refine(coarse, generator)
        given = torch.where(own[:, None, None, None], coarse, given)
        null = None if null is None else null & ~own
        device = device_of(module)
        tokens, given = rows["tokens"].to(device).float(), given.to(device)
        values = self._values(module, noisy, given, tokens, own)
        null = None if null is None else null.to(device)
        out = module(torch.cat([values, given], dim=1), noisy.time.to(device), tokens, null)
        error = self._error(out, noisy, rows["person"], own)
        trained: Any = module
        if not isinstance(trained, WithCritic):
            return error
        seen = torch.ones_like(own) if self.simulated_from is None else own
        return error + self._judged(trained.critic, out, given, rows, seen)

    def _simulated(self, time: Tensor) -> Tensor:
        """Return which rows (B,) hold the network's own prediction."""
        if self.simulated_from is None:
            return torch.zeros_like(time, dtype=torch.bool)
        later = [step for step in self.shares if step != self.simulated_from]
        return torch.isin(time, torch.tensor(later, dtype=time.dtype, device=time.device))

    def _values(
        self, module: nn.Module, noisy: Noisy, given: Tensor, tokens: Tensor, own: Tensor
    ) -> Tensor:
        """Return the noisy latents (B, C, h, w), in rows `own` (B,) of its own first prediction."""
        values = noisy.values.to(given.device)
        if not own.any():
            return values
        assert self.simulated_from is not None
        noise = noisy.noise[own].to(given.device)
        first = torch.full((len(noise),), self.simulated_from, device=given.device)
        with torch.no_grad():
            clean = module(torch.cat([noise, given[own]], dim=1), first, tokens[own], None)
        time = noisy.time[own].to(given.device)
        values = values.clone()
        values[own] = renoised(clean.float(), noise, time, self.scheduler)
        return values

    def _error(self, out: Tensor, noisy: Noisy, person: Tensor, own: Tensor) -> Tensor:
        """Return the weighted squared error of the predicted latents (B, C, h, w)."""
        each = capped(self.scheduler, noisy.time, self.min_snr)
        if self.simulated_from is not None:
            share = torch.where(own, self.simulated_weight, 1.0)
            each = share if each is None else each * share
        return weighted(out, noisy.wanted, 1 + self.person_weight * person.float(), each)

    def _judged(
        self, critic: Critic, out: Tensor, given: Tensor, rows: Rows, seen: Tensor
    ) -> Tensor:
        """Return the loss of the rows that the critic sees, `seen` (B,), times their share."""
        if self.decoded is None:
            raise ValueError("a critic of stage refine needs the decoder, see DecodedCritic")
        if not seen.any():  # processes of a launch must agree on which weights have gradients
            return 0.0 * sum((value.sum() for value in critic.parameters()), torch.zeros(()))
        target = rows["target"][seen]
        loss = self.decoded.loss(critic, out[seen], given[seen], target, self.balance)
        return loss * float(seen.float().mean())
