"""From measures to what a reader may conclude of a run, with the numbers that decided.

Three questions have three answers, never one word for all:

    outcome     what became of the run: solved, ahead, completed, learned nothing, ruined, diverged   (`outcome`)
    verdict     what the gradient does over the lag: vanishing, exploding, healthy, ...               (`over_lag`)
    cause       what kept the run from more, with the one change that would test it                   (`cause`)

The sentence is the chain of events (`events`) with its numbers. A norm that grew or a loss that leapt is an event, a
symptom; a gradient that grows with the lag is the disease. All thresholds stand in `thresholds`.
"""
