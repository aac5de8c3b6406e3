"""The equivalences and freshness rules as plain functions: rows that differ in, a verdict out (spec section 6)."""
