"""Physical models shared by the problems: radio links, processors, batteries and mobility, in SI units."""
