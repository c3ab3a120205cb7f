"""How fast is linit? Figures for people, never a verdict: nothing here compares anything with a clock."""
