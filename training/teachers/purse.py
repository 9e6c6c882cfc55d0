"""A budget that requests under way share: what may still be asked, never more than was allowed."""

from __future__ import annotations

import asyncio

from ..recipe import Budget
from .cache import AnswerCache


class Purse:
    """Tokens are set aside before a request is sent and settled when its answer says what it cost."""

    def __init__(self, budget: Budget, cache: AnswerCache, run: str) -> None:
        self._budget, self._cache, self._run = budget, cache, run
        self.requests, self.tokens = cache.spent(run)
        self._set_aside = 0
        self._settled = asyncio.Condition()

    async def take(self, tokens: int) -> bool:
        """Set `tokens` aside for one request. False if the budget is used up; waits while only requests under way
        stand between the two."""
        async with self._settled:
            while not self._fits(tokens):
                if not self._set_aside or self._no_more_requests():
                    return False
                await self._settled.wait()
            self._set_aside += tokens
            self.requests += 1
            self._cache.spend(self._run, 1, 0)
            return True

    async def settle(self, set_aside: int, cost: int) -> None:
        async with self._settled:
            self._set_aside -= set_aside
            self.tokens += cost
            self._cache.spend(self._run, 0, cost)
            self._settled.notify_all()

    def _fits(self, tokens: int) -> bool:
        limit = self._budget.tokens
        return not self._no_more_requests() and (limit is None or self.tokens + self._set_aside + tokens <= limit)

    def _no_more_requests(self) -> bool:
        return self._budget.requests is not None and self.requests >= self._budget.requests
