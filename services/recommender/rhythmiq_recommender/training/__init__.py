"""From stored interactions to a promoted model, in steps that can be killed and started again."""
