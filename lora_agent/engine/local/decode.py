"""The state of one row that is being decoded: its constraint, its tokens, when it ends.

A row is fed logits and answers with the tokens to read next: the one it chose and those that the grammar forces
after it, in one pass. The same state machine serves one session and a batch. Knows nothing of models or caches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lora_agent.engine.local.ahead import Ahead
from lora_agent.structured import Constraint, way_out
from lora_agent.structured.constraint import Allowed
from lora_agent.structured.leaning import Leaning
from lora_agent.types import Completion, FinishReason, Usage

Scores = NDArray[np.float32]
"""(vocabulary,): logits, or their natural-log probabilities"""


@dataclass(frozen=True)
class DecodeOptions:
    """`deadline` is a `time.monotonic()` value. temperature 0 is greedy."""

    max_tokens: int
    deadline: float | None = None
    cancel: Callable[[], bool] | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    close: bool = False
    """Near the end of the budget, finish the value by the shortest way instead of being cut off. The row then says
    `closed_early`: strings may be shorter than meant, so adapters whose output is acted on do without."""
    stop: tuple[str, ...] = ()
    """Texts that end a free decode; the text ends before the first of them. Not under a grammar."""
    top_logprobs: int | None = None
    """Keep the log-probabilities of this many likeliest tokens at each place; 0 keeps only the written token's."""
    lean: Leaning | None = None
    """What is likelier under a grammar than the model says."""
    watch: Callable[[str], None] | None = None
    """Told the text so far after each forward pass, from the thread that decodes. A repair (see `repair.Repair`) may
    make it shorter again."""


@dataclass
class Alternatives:
    """A step at which the grammar left few choices: their tokens and natural-log probabilities."""

    step: int
    tokens: list[int]
    logprobs: list[float]


_FEW = 64
"""Steps with at most this many allowed tokens keep all their probabilities, for calibrated scores."""
_WINDOW = 128
"""Tokens left of the budget from which on the way out is kept open: longer than what a tool's schema still requires."""


@dataclass
class RowDecode:
    constraint: Constraint | None
    stop_tokens: tuple[int, ...]
    options: DecodeOptions
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    sampled: int = 0
    forced: int = 0
    finish: FinishReason | None = None
    closed_early: bool = False
    chosen: list[int] = field(default_factory=list)
    """Which of `tokens` were chosen, by index; the others were forced."""
    excluded: set[tuple[int, ...]] = field(default_factory=set)
    """Beginnings of the text that must not be written (again)."""
    alternatives: list[Alternatives] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    decode: Callable[[list[int]], str] | None = None
    """Tokens → text; needed for `stop` and `watch`."""
    text: str | None = None
    """What was written before a stop text, once one has come."""
    tops: list[list[tuple[int, float]]] = field(default_factory=list)
    """Per token the likeliest ones at its place and their log-probabilities, where the options ask for them."""

    def __post_init__(self) -> None:
        seed = self.options.seed
        self._generator = torch.Generator().manual_seed(seed) if seed is not None else None

    def running(self) -> bool:
        return self.finish is None

    def opening(self) -> list[int]:
        """Tokens that the grammar forces before anything is chosen: they are read together with the prompt."""
        return self._take_forced()

    def ahead(self, guess: Sequence[int] = ()) -> Ahead | None:
        """Begin to work out what may come next, and after each token of `guess`; None for a free decode."""
        return None if self.constraint is None else Ahead(self.constraint.copy(), guess)

    def step(self, logits: Tensor, allowed: Allowed | None = None) -> list[int]:
        """Choose from `logits` (vocabulary,) and return the tokens to read next; [] once the row has finished.
        `allowed`: by the constraint as it is now, where that is known already."""
        feed = self._step(logits, allowed)
        self._look()
        return feed if self.finish is None else []

    def _step(self, logits: Tensor, allowed: Allowed | None) -> list[int]:
        if self._interrupted():
            return []
        # numpy: on rows of this size the threads of torch cost three times what they save (docs/performance.md).
        scores: Scores = logits.float().cpu().numpy()
        if self.constraint is not None:
            allowed = Allowed.of(self.constraint.mask()) if allowed is None else allowed
            scores = _masked(scores, allowed.bias)
            self._exclude(scores)
            if self.options.lean is not None and 1 < allowed.total <= _FEW:
                self._lean(scores, self.constraint.vocabulary.tokens, self.options.lean)
        logprobs = _log_softmax(scores)
        if allowed is not None and allowed.total <= _FEW:  # looking for them costs as much as all of the rest
            self._note_alternatives(logprobs)
        token = self._choose(logprobs)
        if token in self.stop_tokens and (self.constraint is None or self.constraint.can_stop):
            self.logprobs.append(float(logprobs[token]))
            self.sampled += 1
            self.finish = "stop"
            return []
        if (way := self._last_way_out(token)) is not None:
            return self._leave(way)
        self.chosen.append(len(self.tokens))
        self._take(token, float(logprobs[token]), logprobs)
        self.sampled += 1
        return self._continue([token])

    def likely(self, guess: list[int]) -> list[int]:
        """As much of a guess of what comes next as the grammar and the budget allow. Sampling takes no guesses: the
        distribution would stay the same only with a correction that is not worth its cost here."""
        if self.options.temperature > 0 or not guess:
            return []
        guess = guess[: max(0, self.options.max_tokens - len(self.tokens) - 1)]
        for index, token in enumerate(guess):
            if token in self.stop_tokens:
                guess = guess[:index]
                break
        return guess if self.constraint is None else guess[: self.constraint.takes_of(guess)]

    def go_back(self, first: int) -> bool:
        """Take back the last choice at or after token `first` that leaves another, and exclude what it chose. False,
        and nothing is changed, where there is none."""
        if self.constraint is None:
            return False
        places = [place for place in self.chosen if place >= first]
        probe = self.constraint.copy()
        excluded = set(self.excluded)
        while places:
            place = places.pop()
            probe.rollback(len(probe.tokens) - place)
            excluded.add(tuple(self.tokens[: place + 1]))
            prefix = tuple(self.tokens[:place])
            if any((*prefix, token) not in excluded for token in probe.allowed()):
                self.excluded, self.constraint, self.finish = excluded, probe, None
                del self.tokens[place:], self.logprobs[place:], self.tops[place:]
                self.chosen = [c for c in self.chosen if c < place]
                self.alternatives = [a for a in self.alternatives if a.step < place]
                return True
        return False

    def _exclude(self, scores: Scores) -> None:
        if self.excluded:
            written = tuple(self.tokens)
            for beginning in self.excluded:
                if beginning[:-1] == written:
                    scores[beginning[-1]] = -math.inf

    def _lean(self, scores: Scores, pieces: Any, leaning: Leaning) -> None:
        if leaning.is_over(len(self.tokens)):
            return
        tokens = np.flatnonzero(scores > -math.inf).tolist()
        written = pieces.decode_bytes(self.tokens)
        texts = [pieces.decode_bytes([token]).decode(errors="replace") for token in tokens]
        scores[tokens] += leaning.weigh(written.decode(errors="replace"), texts)

    def _last_way_out(self, token: int) -> list[int] | None:
        """The way to the value's end from here, if after `token` there would be none within the budget any more."""
        left = self.options.max_tokens - len(self.tokens)
        if self.constraint is None or not self.options.close or left > _WINDOW:
            return None
        after = self.constraint.copy()
        after.advance(token)
        taken = 1
        for forced in after.forced():
            after.advance(forced)
            taken += 1
        if taken <= left and way_out(after, left - taken) is not None:
            return None
        return way_out(self.constraint, left)

    def _leave(self, way: list[int]) -> list[int]:
        for token in way:
            self._take(token, 0.0)
            self.forced += 1
        self.closed_early = True
        self.finish = "stop"
        return []

    def _continue(self, read: list[int]) -> list[int]:
        read = read + self._take_forced()
        return [] if self.finish else read

    def _take_forced(self) -> list[int]:
        """Take what the grammar leaves no choice about, and notice the end of the value or of the budget."""
        taken: list[int] = []
        while self.finish is None:
            if self.constraint is not None and self.constraint.finished:
                self.finish = "stop"
            elif len(self.tokens) >= self.options.max_tokens:
                self.finish = "length"
            else:
                forced = self.constraint.forced() if self.constraint is not None else []
                if not forced:
                    break
                for token in forced[: self.options.max_tokens - len(self.tokens)]:
                    if token in self.stop_tokens:
                        self.finish = "stop"
                        break
                    self._take(token, 0.0)
                    self.forced += 1
                    taken.append(token)
        return taken

    def _take(self, token: int, logprob: float, logprobs: Scores | None = None) -> None:
        if self.constraint is not None:
            self.constraint.advance(token)
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if (wanted := self.options.top_logprobs) is not None:
            self.tops.append([(token, 0.0)][:wanted] if logprobs is None else _top(logprobs, wanted))

    def _look(self) -> None:
        """End at a stop text, and tell the watcher. A text that may still become a stop text is held back."""
        stop, watch = self.options.stop, self.options.watch
        if self.decode is None or not (stop or watch):
            return
        text = self.decode(self.tokens)
        found = [at for word in stop if (at := text.find(word)) >= 0]
        if found:
            self.text, self.finish = text[: min(found)], "stop"
            while self.tops and len(self.decode(self.tokens[: len(self.tops) - 1])) >= len(self.text):
                self.tops.pop()
        if watch is not None:
            held = 0 if self.finish else max((_begun(text, word) for word in stop), default=0)
            watch((text[: len(text) - held] if self.text is None else self.text).rstrip("\ufffd"))

    def _choose(self, logprobs: Scores) -> int:
        if self.options.temperature <= 0:
            return int(logprobs.argmax())
        probabilities = torch.softmax(torch.from_numpy(logprobs) / self.options.temperature, 0)
        if self.options.top_p < 1:
            ordered, index = probabilities.sort(descending=True)
            keep = ordered.cumsum(0) - ordered < self.options.top_p
            probabilities = torch.zeros_like(probabilities).scatter_(0, index, ordered * keep)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))

    def _note_alternatives(self, logprobs: Scores) -> None:
        allowed = np.flatnonzero(logprobs > -math.inf)
        if len(allowed) >= 2:
            self.alternatives.append(Alternatives(len(self.tokens), allowed.tolist(), logprobs[allowed].tolist()))

    def _interrupted(self) -> bool:
        if self.options.cancel is not None and self.options.cancel():
            self.finish = "cancelled"
        elif self.options.deadline is not None and time.monotonic() > self.options.deadline:
            self.finish = "deadline"
        return self.finish is not None

    def completion(self, tokenizer: Any, read: int, reused: int) -> Completion:
        """The finished row as a value. `read`, `reused`: tokens of its prompt computed and taken from a cache."""
        text = tokenizer.decode(self.tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return Completion(
            text=text if self.text is None else self.text,
            tokens=tuple(self.tokens),
            logprobs=tuple(self.logprobs),
            finish_reason=self.finish or "length",
            usage=Usage(read=read, reused=reused, generated=self.sampled, forced=self.forced),
            ms=(time.perf_counter() - self.started) * 1000,
            closed_early=self.closed_early,
        )


def _masked(scores: Scores, bias: Scores) -> Scores:
    """A copy of (vocabulary,) scores, -inf where the bias says so and beyond its end."""
    width = min(len(scores), len(bias))
    out = np.full(len(scores), -np.inf, dtype=np.float32)
    np.add(scores[:width], bias[:width], out=out[:width])
    return out


def _log_softmax(scores: Scores) -> Scores:
    most = scores.max()
    return np.asarray(scores - (most + np.log(np.exp(scores - most).sum())), dtype=np.float32)


def _top(logprobs: Scores, wanted: int) -> list[tuple[int, float]]:
    """The likeliest tokens that the grammar allows, most likely first."""
    values, tokens = torch.from_numpy(logprobs).topk(wanted)
    pairs = zip(tokens.tolist(), values.tolist(), strict=True)
    return [(token, value) for token, value in pairs if value > -math.inf]


def _begun(text: str, word: str) -> int:
    """How many characters at the end of `text` may be the beginning of `word`."""
    return next((n for n in range(min(len(word) - 1, len(text)), 0, -1) if text.endswith(word[:n])), 0)
