"""Words that the demo's invented titles and artists are put together from."""

from __future__ import annotations

TITLE_FIRST = (
    "Amber", "Broken", "Copper", "Distant", "Early", "Falling", "Glass", "Hollow", "Iron", "Juniper", "Kindled", "Late",
    "Marble", "Northern", "Open", "Paper", "Quiet", "Rising", "Silver", "Tidal", "Under", "Velvet", "Winter", "Yellow",
)  # fmt: skip
TITLE_SECOND = (
    "Avenue", "Balcony", "Compass", "Daylight", "Engine", "Ferry", "Garden", "Horizon", "Island", "Journey", "Kites",
    "Lanterns", "Meridian", "Nightfall", "Orchard", "Parade", "Quarry", "River", "Signals", "Thunder", "Umbrellas",
    "Voices", "Windows", "Yesterday",
)  # fmt: skip
ARTIST_FIRST = (
    "Alva", "Brisko", "Caldera", "Dorrin", "Elmsworth", "Fenna", "Gravel", "Hesper", "Isolde", "Jaspar", "Kestrel",
    "Lumen", "Marrow", "Nadir", "Orsolya", "Pallas", "Quill", "Rook", "Saffron", "Tamsin", "Ulla", "Vesper", "Wren",
    "Yarrow",
)  # fmt: skip
ARTIST_SECOND = (
    "Abernethy", "Brigade", "Collective", "Delacroy", "Ensemble", "Fairweather", "Grove", "Halloway", "Index",
    "Jubilee", "Kinfolk", "Lindqvist", "Mirrors", "Northgate", "Orchestra", "Parallax", "Quartet", "Riders",
    "Sound System", "Trio", "Union", "Vandermeer", "Works", "Youth",
)  # fmt: skip
