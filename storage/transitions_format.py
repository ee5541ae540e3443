"""What writer and reader of the transition dataset agree on."""

FORMAT = "marquee-transitions/1"
SPLIT_NAMES = ("train", "validation", "test")  # their place is the code in /users/split
MEMBERS = (
    "events/item", "events/rating", "events/timestamp",
    "users/id", "users/offset", "users/split", "items/id", "items/embedding",
)  # fmt: skip
