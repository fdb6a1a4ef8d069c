"""Questions to a finished run, which a complete history and a bit-exact replay answer; the run stays as it was.

    what-if     what another clip policy would have done to every update           (`what_if`, from the norms alone)
    autopsy     what carried the gradient at one update                            (`autopsy`, by a replay up to it)
    fork        the same run from one update on, under a changed treatment         (`fork`)
    why         what kept a run from more: the causes tested in order              (`why`, by measurements and forks)

Every answer is a page, kept as a run of its own under the run that was asked (`finding`).
"""
