"""What comes after the fill: followers of the committed stream."""
