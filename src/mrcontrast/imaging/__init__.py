"""Image processing before a recipe knows of it: registration, bias, masks, alignment, quality.

All functions take and return `Volume` and arrays; none reads a recipe. SimpleITK
and deepbet come with the extra ``prep`` and are imported where they are used.
"""
