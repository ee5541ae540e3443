"""The page of `marquee app`: rate movies, see what two methods recommend side by side."""
