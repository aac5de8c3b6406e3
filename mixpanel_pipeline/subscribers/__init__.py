"""Contributions, totals by ADD and by REPLACE, watermarks, late sweep (spec section 5)."""
