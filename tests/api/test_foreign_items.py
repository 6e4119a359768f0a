"""Items and values of libraries that the package never imports: pydantic, SQLAlchemy, Django, numpy, data frames."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from neuroon_async.api.contract import SyncMode
from neuroon_async.api.frames import rows_of
from neuroon_async.api.items import ignored_fields
from neuroon_async.api.models import Product
from neuroon_async.api.requests import as_product, encode_batch, encode_single_request
from neuroon_async.errors import InvalidProduct, UsageError

pydantic = pytest.importorskip("pydantic")
sa = pytest.importorskip("sqlalchemy")
django = pytest.importorskip("django")

from pydantic.alias_generators import to_camel  # noqa: E402
from sqlalchemy import orm  # noqa: E402


class Late:
    """A library that the first test to use it loads: every worker collects this file, and few of them run it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith(("_", "pytest")):  # pytest itself looks for these
            raise AttributeError(attribute)
        return getattr(pytest.importorskip(self._name), attribute)


np, pd, pl, pa = Late("numpy"), Late("pandas"), Late("polars"), Late("pyarrow")

TEA = {"external_id": "SKU-1", "name": "Tea", "price": 4.5, "url": "https://shop.example/tea"}
PRODUCT = Product(**TEA)


def refused(item):
    with pytest.raises(InvalidProduct) as caught:
        as_product(item)
    return caught.value


# pydantic


class Model(pydantic.BaseModel):
    external_id: str
    name: str
    price: Decimal
    url: pydantic.HttpUrl
    description: str | None = None
    currency: str | None = "EUR"
    internal: int = pydantic.Field(default=1, exclude=True)


def test_a_pydantic_model_gives_what_was_set():
    assert as_product(Model(**TEA)) == Product(**TEA | {"price": Decimal("4.5")}, currency="EUR")
    nulls = Model(**TEA, description=None, currency=None)
    assert as_product(nulls) == Product(**TEA | {"price": Decimal("4.5")}, description=None, currency=None)


class Camel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel, populate_by_name=True)
    external_id: str
    name: str
    price: float
    url: str


class Renamed(pydantic.BaseModel):
    id_: str = pydantic.Field(serialization_alias="externalId")
    title: str = pydantic.Field(alias="name")
    price: float

    @pydantic.computed_field
    @property
    def url(self) -> str:
        return "https://shop.example/tea"


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    external_id: str
    name: str
    price: float
    url: str


class Typo(Open):
    in_stok: bool = True


@pydantic.dataclasses.dataclass
class Dataclass:
    external_id: str
    name: str
    price: float
    url: pydantic.AnyUrl
    description: str | None = None


def test_pydantic_models_of_all_sorts():
    assert as_product(Camel(**TEA)) == PRODUCT
    assert as_product(Renamed(id_="SKU-1", name="Tea", price=4.5)) == PRODUCT
    assert as_product(Dataclass(**TEA)) == PRODUCT
    assert as_product(Open(**TEA, inStock=True)) == Product(**TEA, in_stock=True)
    assert refused(Open(**TEA, color="red")).field == "color"
    assert refused(Typo(**TEA)).rule == "is not a product field; did you mean 'in_stock'?"
    assert as_product(Model(**TEA).model_dump(exclude={"internal"}, exclude_unset=True)).url == TEA["url"]


def test_a_secret_is_not_shown():
    error = refused(TEA | {"name": pydantic.SecretStr("s3cret")})
    assert "s3cret" not in str(error)


# SQLAlchemy


class Base(orm.DeclarativeBase):
    pass


class Stored(Base):
    __tablename__ = "product"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    external_id: orm.Mapped[str]
    name: orm.Mapped[str]
    price: orm.Mapped[float]
    url: orm.Mapped[str]
    description: orm.Mapped[str | None]
    cost: orm.Mapped[float | None]

    @property
    def in_stock(self):
        return True


COLUMNS = (Stored.external_id, Stored.name, Stored.price, Stored.url)


@pytest.fixture
def session() -> Iterator[orm.Session]:
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(Stored(id=1, **TEA))
        session.commit()
        yield session
    engine.dispose()


def test_an_orm_object_gives_a_products_fields_and_names_what_it_ignores(session):
    stored = session.scalars(sa.select(Stored)).one()
    expected = Product(**TEA, description=None, in_stock=True)
    assert as_product(stored) == expected
    assert ignored_fields(stored) == ("id", "cost")
    assert as_product(session.execute(sa.select(Stored)).one()) == expected  # a row of one object


def test_rows_of_sqlalchemy(session):
    assert as_product(session.execute(sa.select(*COLUMNS)).one()) == PRODUCT
    assert as_product(session.execute(sa.select(*COLUMNS)).mappings().one()) == PRODUCT
    assert as_product(session.execute(sa.text("select external_id, name, price, url from product")).one()) == PRODUCT
    error = refused(session.execute(sa.select(Stored.id, *COLUMNS)).one())
    assert error.field == "id"


def test_an_object_that_needs_its_session_says_so(session):
    stored = session.scalars(sa.select(Stored)).one()
    session.commit()
    session.expunge_all()
    assert "cannot be read: DetachedInstanceError" in refused(stored).rule


class AlsoDataclass(orm.MappedAsDataclass, Base):
    __tablename__ = "other"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, init=False)
    external_id: orm.Mapped[str]
    name: orm.Mapped[str]
    price: orm.Mapped[float]
    url: orm.Mapped[str]


def test_an_orm_object_that_is_a_dataclass_is_an_orm_object():
    assert as_product(AlsoDataclass(**TEA)) == PRODUCT
    assert ignored_fields(AlsoDataclass(**TEA)) == ("id",)


# Django


@pytest.fixture(scope="module")
def django_model():
    from django.conf import settings  # noqa: PLC0415 - only once Django is there

    if not settings.configured:
        settings.configure(DEFAULT_AUTO_FIELD="django.db.models.AutoField", INSTALLED_APPS=[], USE_I18N=False)
        django.setup()
    from django.db import models  # noqa: PLC0415 - after the settings

    class DjangoProduct(models.Model):
        external_id = models.CharField(max_length=50)
        name = models.CharField(max_length=200)
        price = models.DecimalField(max_digits=9, decimal_places=2)
        description = models.TextField(null=True)  # noqa: DJ001
        created = models.DateTimeField(null=True)
        parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE)

        class Meta:
            app_label = "shop"

        def __str__(self):
            return self.name

        @property
        def url(self):
            return "https://shop.example/tea"

    return DjangoProduct


def test_a_django_object(django_model):
    stored = django_model(external_id="SKU-1", name="Tea", price=Decimal("4.50"))
    assert as_product(stored) == Product(**TEA | {"price": Decimal("4.50")}, description=None)
    assert ignored_fields(stored) == ("id", "created", "parent_id")


def test_text_that_django_translates_late(django_model):
    from django.utils.functional import lazystr  # noqa: PLC0415 - likewise

    assert as_product(TEA | {"name": lazystr("Tea")}) == PRODUCT


# numpy


def test_numpy_scalars():
    for name, value, plain in (
        ("price", np.float64(4.5), 4.5),
        ("price", np.float32(0.1), 0.1),
        ("price", np.float16(0.1), 0.1),
        ("price", np.int64(3), 3),
        ("stock_quantity", np.uint8(3), 3),
        ("in_stock", np.bool_(1), True),
        ("name", np.str_("Tea"), "Tea"),
        ("external_id", np.int64(17), "17"),
        ("tags", np.array(["a", "b"]), ["a", "b"]),
        ("tags", np.array(["a"], dtype=object), ["a"]),
        ("tags", [np.str_("a")], ["a"]),
    ):
        found = getattr(as_product(TEA | {name: value}), name)
        assert found == plain, (name, value)
        assert isinstance(plain, str) or type(found) is type(plain), (name, value)


def test_foreign_values_that_do_not_fit_are_refused():
    for name, value in (
        ("price", np.float64("nan")),
        ("price", np.float32("inf")),
        ("price", np.longdouble(1) / 3),
        ("price", np.array([4.5])),
        ("price", np.array(4.5)),
        ("name", np.datetime64("2026-03-01")),
        ("name", np.bytes_(b"x")),
        ("stock_quantity", np.float64(3)),
        ("tags", np.array([["a"]])),
        ("tags", np.array([1])),
        ("description", pd.NA),
        ("description", pd.NaT),
        ("description", float("nan")),
    ):
        assert refused(TEA | {name: value}).external_id == "SKU-1", (name, value)


# Data frames

ROWS = [
    TEA | {"rating": None, "description": None, "in_stock": True},
    TEA | {"rating": 4.5, "description": "x", "in_stock": None},
]
FRAMES = {
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas with its own types": lambda: pd.DataFrame(ROWS).convert_dtypes(),
    "pandas with an index": lambda: pd.DataFrame(ROWS, index=["a", "a"]),
    "pandas on arrow": lambda: pd.DataFrame(ROWS).convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda: pl.DataFrame(ROWS),
    "pyarrow": lambda: pa.Table.from_pylist(ROWS),
}


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES.keys())
def test_a_frame_is_read_row_by_row_and_nan_is_no_value(make):
    products = [as_product(row) for row in rows_of(make())]
    assert products == [Product(**TEA, in_stock=True), Product(**TEA, rating=4.5, description="x")]
    encode_batch(SyncMode.INCREMENTAL, products)
    assert encode_single_request(SyncMode.INCREMENTAL, make()) == encode_batch(SyncMode.INCREMENTAL, products)


def test_columns_of_lists():
    rows = [TEA | {"tags": ["a"]}]
    frames = (pd.DataFrame(rows), pl.DataFrame(rows), pa.Table.from_pylist(rows))
    for frame in frames:
        assert [as_product(row) for row in rows_of(frame)] == [Product(**TEA, tags=["a"])]


def test_what_a_row_lacks_of_a_struct_is_no_value():
    attributes = [{"colour": "red", "size": None}, {"colour": None, "size": "L"}, {"colour": None, "size": None}, None]
    rows = [TEA | {"attributes": each} for each in attributes]
    expected = [
        Product(**TEA, attributes={"colour": "red"}),
        Product(**TEA, attributes={"size": "L"}),
        PRODUCT,
        PRODUCT,
    ]
    for frame in (pl.DataFrame(rows), pa.Table.from_pylist(rows)):
        assert [as_product(row) for row in rows_of(frame)] == expected


def test_numbers_of_a_database_are_ids_and_counts_where_they_have_no_decimals():
    row = TEA | {"external_id": Decimal(17), "parent_external_id": Decimal(3), "stock_quantity": Decimal(12)}
    product = as_product(row)
    assert (product.external_id, product.parent_external_id, product.stock_quantity) == ("17", "3", 12)
    for odd in ("17.0", "1E+2", "NaN", "-Infinity", "sNaN"):
        assert refused(TEA | {"external_id": Decimal(odd)})
        assert refused(TEA | {"stock_quantity": Decimal(odd)})


def test_numbers_in_single_precision_are_those_that_a_frame_shows():
    amounts = [19.99, 1299.9, 0.1, 3.4e38]
    single = np.array(amounts, dtype=np.float32)
    frames = [
        pd.DataFrame({"price": single}),
        pd.DataFrame({"price": pd.array(amounts, dtype="Float32")}),
        pd.DataFrame({"price": pd.array(amounts, dtype="float[pyarrow]")}),
        pl.DataFrame({"price": amounts}, schema={"price": pl.Float32}),
        pa.table({"price": pa.array(amounts, pa.float32())}),
        pa.RecordBatch.from_arrays([pa.array(amounts, pa.float32())], ["price"]),
    ]
    for frame in frames:
        assert [as_product({**TEA, **row}).price for row in rows_of(frame)] == amounts
    halves = pd.DataFrame({"price": single[:3].astype(np.float16), "stock": [1, 2, 3]})
    assert [row["price"] for row in rows_of(halves)] == [19.98, 1300, 0.1]
    odd = [float("inf"), 16777216.0, 1e-9, 0.0]
    assert [row["price"] for row in rows_of(pa.table({"price": pa.array(odd, pa.float32())}))] == odd


def test_a_piece_of_a_frame_is_no_product_and_its_rows_are_named():
    batch = pa.RecordBatch.from_pylist([TEA])
    for piece, says in (
        (pd.DataFrame([TEA]), r"frame\.itertuples\(index=False\)"),
        (pl.DataFrame([TEA]), r"frame\.iter_rows\(named=True\)"),
        (pa.Table.from_pylist([TEA]), r"frame\.to_pylist\(\)"),
        (batch, r"frame\.to_pylist\(\)"),
    ):
        with pytest.raises(InvalidProduct, match=says):
            as_product(piece)
    for source in (batch, pa.RecordBatchReader.from_batches(batch.schema, [batch])):
        assert [as_product(row) for row in rows_of(source)] == [PRODUCT]


def test_a_gap_of_a_frame_in_a_mapping_is_told_as_one():
    for gap in (float("nan"), pd.NA, pd.NaT):
        with pytest.raises(InvalidProduct, match=r"description: must be text, got .*give the frame itself"):
            as_product(TEA | {"description": gap})


def test_whole_numbers_are_ids_and_empty_frames_hold_nothing():
    assert [as_product(row).external_id for row in rows_of(pd.DataFrame([TEA | {"external_id": 17}]))] == ["17"]
    for empty in (pd.DataFrame(), pl.DataFrame(), pa.table({}), pd.DataFrame(columns=list(TEA))):
        assert list(rows_of(empty)) == []


def test_a_row_of_pandas_as_an_item():
    frame = pd.DataFrame([TEA | {"rating": float("nan")}])
    assert [as_product(row) for _, row in frame.iterrows()] == [PRODUCT]
    assert [as_product(row) for row in frame.drop(columns="rating").itertuples(index=False)] == [PRODUCT]


GAPS = [
    TEA | {"external_id": 7, "parent_external_id": None, "stock_quantity": 3, "review_count": None, "price": 4.0},
    TEA | {"external_id": 8, "parent_external_id": 7, "stock_quantity": None, "review_count": 2, "price": 5.0},
]
FULL = [
    Product(**TEA | {"external_id": "7", "price": 4.0}, stock_quantity=3),
    Product(**TEA | {"external_id": "8", "price": 5.0}, parent_external_id="7", review_count=2),
]


def test_whole_numbers_stay_whole_beside_a_missing_one():
    frame = pd.DataFrame(GAPS)
    assert str(frame["parent_external_id"].dtype) == str(frame["stock_quantity"].dtype) == "float64"
    for rows in (rows_of(frame), (row for _, row in frame.iterrows()), frame.itertuples(index=False)):
        assert [as_product(row) for row in rows] == FULL
    for frame in (pl.DataFrame(GAPS), pa.Table.from_pylist(GAPS)):
        assert [as_product(row) for row in rows_of(frame)] == FULL


@pytest.mark.parametrize("number", [7.5, 2.0**53, -(2.0**60), float("inf")])
@pytest.mark.parametrize("field", ["parentExternalId", "stock_quantity"])
def test_a_number_that_may_have_been_another_one_is_not_made_whole(field, number):
    frame = pd.DataFrame([TEA | {field: number}, TEA | {field: None}])
    row, other = rows_of(frame)
    assert refused(row)
    assert as_product(other) == PRODUCT


def test_a_subclass_of_a_frame_is_a_frame():
    assert list(rows_of(type("GeoDataFrame", (pd.DataFrame,), {})([TEA]))) == [TEA]


def test_what_is_no_frame_is_left_alone():
    for source in ([TEA], iter([TEA]), {"a": 1}, (row for row in [TEA]), "text", None, pytest.importorskip("numpy")):
        assert rows_of(source) is None


def test_a_frame_that_has_no_plain_rows_is_refused_with_the_line_that_helps():
    for frame, says in (
        (pd.Series([1]), "pandas Series"),
        (pl.Series([1]), "polars Series"),
        (pl.DataFrame([TEA]).lazy(), r"client\.products\.sync\(frame\.collect\(\)\)"),
        (pd.DataFrame([[1, 2]], columns=["name", "name"]), "several columns named name"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "several levels.*frame.columns ="),
    ):
        with pytest.raises(UsageError, match=says):
            rows_of(frame)
