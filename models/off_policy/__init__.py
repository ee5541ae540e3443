"""What a policy's recommendations would be worth, estimated from ratings that other choices led to.

**What is estimated.** A state h is all that a user has rated so far. A recommender ranks the items the user has not
rated; the policy π(a | h) judged here takes the item at place j of its first 100 (j from 0) with a probability
proportional to 1 / (j + 1), the examination of places that Joachims, Swaminathan & Schnabel (2017) find. So only the
order of its scores counts, all methods choose equally sharply, and what is judged is the very list that is shown.

States are the last steps of test users, whom neither policies nor models have seen; a user counts once, however many
steps he has. Rewards are ratings. Two values are estimated, both on the scale of the ratings:

1. of one step: V(π) = E_h Σ_a π(a | h) E[r | h, a];
2. of the next H steps: E Σ_k γ^k r_k / Σ_k γ^k, k < H, if π made the choices from h on. A history ends where the data
   end, not where the user stops: its last step tells its reward and nothing of what follows.

**How.** DM, the direct method: a linear reward model in few features of (h, a), averaged over π. FQE: the same model
taken on step by step (Le, Voloshin & Yue 2019; linear: Duan, Jia & Wang 2020). SNIPS: logged rewards weighed by
π(a | h) / μ(a | h), the sum of weights as the divisor (Swaminathan & Joachims 2015), μ a fitted behaviour policy. DR:
DM plus the weighed mean of the model's residuals (Dudík, Langford & Li 2011), self-normalised.

Weights of H steps are products of H weights (Precup, Sutton & Singh 2000; Jiang & Li 2016 for DR). With thousands of
items the second step alone leaves a third to a thirtieth of the effective sample, and ten leave nothing: SNIPS and DR
are of one step only. What two steps leave is told per policy.

**What cannot be had from logs.** Ratings are missing not at random: people choose, and so rate, what they expect to
like, by more than their history tells (Marlin & Zemel 2009; Schnabel et al. 2016). No model of μ(a | h) can undo what
h does not show. So every estimate here is of "the rating, were the item chosen as people choose", and lies above what
the user would give if the item were put before him; the more so, the further π is from people's own choices. On
generated data the size of this is known; docs/evaluation.md tells it.
"""
