"""Off-policy evaluation: the value of a policy's recommendations, estimated from logged ratings.

**What is estimated.** A state h is all that a user has rated so far. A recommender ranks the items the user has not
rated; the policy π(a | h) evaluated here takes the item at place j of its first 100 (j from 0) with a probability
proportional to 1 / (j + 1), the examination of places that Joachims, Swaminathan & Schnabel (2017) find. So only the
order of its scores counts, all methods choose equally sharply, and what is evaluated is the list that is shown.

States are the last steps of test users, whom neither policies nor models have seen; each user counts once, whatever
the number of steps. Rewards are ratings. Two values are estimated, both on the scale of the ratings:

1. of one step: V(π) = E_h Σ_a π(a | h) E[r | h, a];
2. of the next H steps: E Σ_k γ^k r_k / Σ_k γ^k, k < H, if π made the choices from h on. A history ends where the data
   end, not where the user stops: its last step has a reward but no known next step.

**How.** DM, the direct method: a linear reward model in few features of (h, a), averaged over π. FQE: the same model
iterated over steps (Le, Voloshin & Yue 2019; linear: Duan, Jia & Wang 2020). SNIPS: logged rewards weighted by
π(a | h) / μ(a | h), divided by the sum of weights (Swaminathan & Joachims 2015), μ a fitted behaviour policy. DR:
DM plus the weighted mean of the model's residuals (Dudík, Langford & Li 2011), self-normalised.

Weights of H steps are products of H weights (Precup, Sutton & Singh 2000; Jiang & Li 2016 for DR). With thousands of
items the second step alone leaves a third to a thirtieth of the effective sample, and ten leave nothing: SNIPS and DR
are computed for one step only. The report states the effective sample of two steps per policy.

**What logs cannot show.** Ratings are missing not at random: people choose, and so rate, what they expect to
like, beyond what their history shows (Marlin & Zemel 2009; Schnabel et al. 2016). No model of μ(a | h) can correct for
what h does not show. So every estimate here is of the rating that the user would give after choosing the item, and lies
above the rating of an item that is shown to the user; the more so, the further π is from people's own choices. On
generated data the size of this bias is known; see docs/evaluation.md.
"""
