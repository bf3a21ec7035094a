"""The choice between parts: known ratings rehearse the tasks to come, and parts that were right then weigh more.

The way of a choice: later ratings, or held-out users, act as the tasks (`rehearsal`); each part's word becomes chances of
the levels (`ordered_logit`); a logarithmic pool with weights of 0 or more is drawn back to the best closed forms unless it is clearly
better (`opinion_pool`); the parts are then taught on everything (`pooled_learner`).
"""
