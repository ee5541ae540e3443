"""What a policy must beat; each is fit on training events alone and scores all items from a history."""
