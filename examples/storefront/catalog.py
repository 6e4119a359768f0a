"""What the shop sells."""

from dataclasses import dataclass
from decimal import Decimal

from neuroon_async import Product


@dataclass(frozen=True)
class Tea:
    sku: str
    name: str
    origin: str
    price: Decimal
    note: str
    colors: tuple[str, str]
    """The label's: the tin and the leaf."""


TEAS = {
    tea.sku: tea
    for tea in (
        Tea(
            "T-01",
            "Sencha Asamushi",
            "Shizuoka",
            Decimal("12.50"),
            "Light-steamed, bright, a little sea air.",
            ("#dfe8cf", "#5d7f3a"),
        ),
        Tea(
            "T-02",
            "Gyokuro Yame",
            "Fukuoka",
            Decimal("29.00"),
            "Shaded for three weeks: broth, sweet peas.",
            ("#cfe3d6", "#2f6b4f"),
        ),
        Tea(
            "T-03",
            "Darjeeling First Flush",
            "Margaret's Hope",
            Decimal("18.90"),
            "Spring pick with muscatel and hay.",
            ("#f1e6c8", "#b98a2e"),
        ),
        Tea(
            "T-04",
            "Earl Grey Bergamot",
            "Ceylon",
            Decimal("9.80"),
            "Black leaf, Calabrian bergamot, no perfume.",
            ("#e1e0ec", "#4f4b86"),
        ),
        Tea(
            "T-05",
            "Oolong Tie Guan Yin",
            "Anxi",
            Decimal("16.40"),
            "Rolled and lightly roasted: orchid, cream.",
            ("#e9ddcf", "#8a5a33"),
        ),
        Tea(
            "T-06",
            "Pu-erh 2012",
            "Menghai",
            Decimal("34.00"),
            "A dark cake that tastes of forest floor.",
            ("#e6d6d0", "#70372c"),
        ),
        Tea(
            "T-07",
            "White Peony",
            "Fuding",
            Decimal("21.00"),
            "Withered, never rolled: melon and honey.",
            ("#eeeae3", "#9a8f7c"),
        ),
        Tea(
            "T-08",
            "Rooibos Cape",
            "Cederberg",
            Decimal("7.60"),
            "No caffeine, all evening: vanilla, wood.",
            ("#f4dcc9", "#b4522b"),
        ),
    )
}


def products(shop_url: str) -> list[Product]:
    """The catalog as Neuroon gets it."""
    return [
        Product(
            external_id=tea.sku,
            name=tea.name,
            price=tea.price,
            currency="EUR",
            url=f"{shop_url}/teas/{tea.sku}",
            description=tea.note,
            categories=["Tea", tea.origin],
            in_stock=True,
        )
        for tea in TEAS.values()
    ]
