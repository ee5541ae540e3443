"""The page of `marquee app`: rate films, see what two methods recommend side by side."""
