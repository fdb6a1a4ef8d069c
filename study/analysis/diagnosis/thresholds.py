"""Every threshold of the diagnosis. `python -m study.bench.diagnosis` shows how often they judge runs right."""

import math

from study.probes.decay import REACHED

# The gradient over the lag.
VANISHED = REACHED
"""Less of the gradient than this left at the horizon is vanishing."""
EXPLODED = 1 / REACHED
"""More than this multiple of it, at a lag that the training reaches, is exploding."""
CONFIDENCE = 2.0
"""Standard errors a number must lie beyond a threshold."""
KEPT = math.log(2)
"""Nats that the gradient of a memory may lose or gain over the horizon, from the first lags on, and count as kept."""
CHAOTIC = math.log(2)
"""Nats that nearby states part over the horizon, from which on that is chaos."""

# Outcomes.
LEAP = 4.0
"""A loss above this multiple of the first one has leapt."""
PASSED = 1.1
"""A loss that leapt has passed where the level after it is at most this multiple of the one before."""
RELAPSE = 2.0
"""A run whose last losses are this multiple of its best ones has lost what it had learnt."""
STRETCH = 50
"""Updates whose median is the level of a loss or a norm; a fifth of a run shorter than five times that."""
LEARNED = 0.01
"""Share of the error of the guess without memory that a run must do without to have learned anything."""

# Events.
SPIKE = 100.0
"""A gradient norm above this multiple of its level, the median of the `STRETCH` updates before, has leapt."""
LEAST = 10
"""Norms or losses that make a level; fewer say nothing of it."""
RISE = 0.3
"""Share of units that saturates while a run trains, from which on that is an event."""

# Causes.
FLAT = 0.5
"""A larger share of saturated or dead units than this makes a gradient vanish."""
STILL = 0.98
"""A loss whose last quarter lies below this share of the quarter before is still falling."""
STEEP = 0.5
"""A training loss below this share of its first level, and of the validation loss, has fallen for the training part."""
SHORT_WAY = 0.003
"""Steps that add up to less than this share of the weights have not had time to change a network."""
AT_ONCE = 10
"""Updates within which a run that leaps was trained at a rate that is far too large, not a little."""
USUAL_STEP = 0.01
"""Share of the weights that a first step moves in runs that learn; far above it the rate is too large."""
EDGE = 2.0
"""Steps that are longer than this multiple of what the curvature allows; training hovers at 1 by itself."""
CURSED = 100.0
"""Sensitivity of the state to its parameters per entry of the state, from which on small steps move states far."""
EARLY = 100
"""First updates whose norms are the scale of a clip threshold."""
PERCENTILE = 90
"""The percentile of them that is proposed."""

# Clipping.
RARE, MOST = 0.1, 0.5
"""Clipping in at most this share of the updates guards against spikes; in more than that it sets the step's size."""
