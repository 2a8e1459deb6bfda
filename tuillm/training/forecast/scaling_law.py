"""What loss a scaling law expects of a model of some size after so many tokens.

Knows two published formulas; both are of other texts and tokenizers than a person's own, so that
they say how losses compare rather than what a run will show.
"""

import math

# L(N, D) = E + A / N^alpha + B / D^beta: Hoffmann et al. 2022, arXiv:2203.15556, eq. 10, fitted to
# MassiveText; nats per token of its own vocabulary of 32,000 entries
_E, _A, _ALPHA, _B, _BETA = 1.69, 406.4, 0.34, 410.7, 0.28
# tokens read again are worth D' = U + U R* (1 - exp(-R / R*)) new ones, R the passes after the
# first one: Muennighoff et al. 2023, arXiv:2305.16264, eq. 5 and its fit
_R = 15.39


def expected_loss(parameters: float, tokens: float) -> float:
    """Return the loss in nats per token after `tokens` different tokens (Chinchilla's law)."""
    loss: float = _E + _A / parameters**_ALPHA + _B / tokens**_BETA
    return loss


def effective_tokens(tokens: float, unique: float) -> float:
    """Return how many different tokens teach as much as `tokens` read out of only `unique`."""
    if tokens <= unique:
        return tokens
    again = tokens / unique - 1
    return unique + unique * _R * (1 - math.exp(-again / _R))
