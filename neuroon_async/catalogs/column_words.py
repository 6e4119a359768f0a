"""What is left of a column's name without the words that say nothing new of it, in the languages of the API. Pure.

``Nombre del artículo``, ``Artikel-URL``, ``Preis (brutto)``, ``PVP c/ IVA`` and ``Imagen 1`` are a name, an address,
two prices and an image. Words that change the meaning (``coste``, ``anterior``, ``USD``) stay, so nothing is known by
such a name; a price without tax is none that shoppers pay.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Essence", "essence_of", "is_size", "names_products", "words_of"]


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile("[a-z]+|[0-9]+")
_CAMEL = re.compile("(?<=[a-z])(?=[A-Z])")
_REMARK = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]")

_SMALL = _set(
    "a al am an auf au d da das de del della dello dels der des di die do dos du e el els en for i il im in l la las "
    "le les lo los na of os per para su sur the y zum"
)
_OF_PRODUCT = _set(
    "product products producto productos produit produits produkt produkte produktes produkts artikel artikels "
    "articulo articulos article articles articolo articoli artigo artigos item items producte productes prodotto "
    "prodotti produto produtos produktu produktuaren"
)
_MAIN = _set(
    "main primary default principal principale principales haupt destacada predeterminado predeterminada completa "
    "completo complete vollstandig estesa extensa larga long html"
)
_CHANNEL = _set("web online tienda shop ecommerce eshop boutique")
_IN_REMARKS = _set(
    "s si n no y yes o oui j ja nein sim non 0 1 x z true false html text texto texte pz pza pzas pcs ud uds u "
    "und st stk stuck unit units unidad unidades obligatorio obligatoria required requerido obligatoire pflichtfeld "
    "obbligatorio opcional optional optionnel"
)
"""Remarks that tell how the cells are written."""
_NET = _set(
    "sin sem sense sen senza sans ohne without excl excluding excluded excluido excluida excluidos exkl escl esclusa "
    "escluso exclos exclosos ht hors net netto neto nett zzgl ex gabe imponible before"
)
_WITH_TAX = _set("ttc brutto bruto gross")
_TAX = _set("iva vat tva mwst ust tax taxes taxe impuestos impuesto impostos impost imp bez beza igic gst")
_INCLUDED = _set(
    "con com amb avec mit with c inc incl including included include incluido incluidos incluida inclus incluse "
    "inclusa incluso inclusi inclos inclosos inkl inklusive barne"
)
_SIZES = _set(
    "size sizes talla tallas tamano grosse groesse grossen taille tailles pointure taglia taglie misura tamanho "
    "tamanhos mida tamaina neurria age edad alter eta idade edat idadea"
)
_LANGUAGES = _set("es en fr de it pt ca eu gl gb us br mx at ch")
_MOST_LANGUAGES = len(("es", "ES"))


class Essence(NamedTuple):
    """What is left of a name, and what the words that were left out tell.

    ``names`` are what it may stand for, with fewer and fewer words. Is it a price with tax, that of a channel such as
    the web, the first of several (``Imagen 1``), or in a language?
    """

    names: tuple[str, ...]
    with_tax: bool
    of_channel: bool
    is_first: bool
    in_a_language: bool


@lru_cache(maxsize=4096)
def is_size(name: str) -> bool:
    """Is it the name of an attribute such as a size, or an age (``2-3``)?"""
    return not _SIZES.isdisjoint(words_of(name))


def names_products(name: str) -> bool:
    """Does a name speak of products and nothing else (``items``, ``productos``)?"""
    words = words_of(name)
    return bool(words) and _OF_PRODUCT.issuperset(words)


def words_of(column: str) -> list[str]:
    """The words and numbers in a name, in small letters without accents."""
    text = "".join(c for c in unicodedata.normalize("NFKD", column) if not unicodedata.combining(c))
    return _WORD.findall(_CAMEL.sub(" ", text).casefold())


def essence_of(column: str) -> Essence | None:
    """``None`` where the name tells of a price without tax."""
    words = words_of(_REMARK.sub(_kept, column))
    if not _NET.isdisjoint(words):
        return None
    tells_tax = not (_INCLUDED.isdisjoint(words) or _TAX.isdisjoint(words))
    dropped = _WITH_TAX | _INCLUDED | _TAX if tells_tax else _WITH_TAX
    with_tax = not dropped.isdisjoint(words)
    words = [word for word in words if word not in dropped]
    languages = 0
    while len(words) > 1 and words[-1] in _LANGUAGES and languages < _MOST_LANGUAGES:
        words.pop()
        languages += 1
    is_first = len(words) > 1 and words[-1].lstrip("0") == "1"
    if is_first:
        words.pop()
    of_channel = len(words) > 1 and not _CHANNEL.isdisjoint(words)
    names = ["".join(words)]
    for dropped in (_MAIN | _CHANNEL, _SMALL, _OF_PRODUCT):
        words = [word for word in words if word not in dropped]
        names.append("".join(words))
    return Essence(tuple(filter(None, names)), with_tax, of_channel, is_first, languages > 0)


def _kept(remark: re.Match[str]) -> str:
    words = words_of(remark[0])
    return " " if _IN_REMARKS.issuperset(words) else f" {remark[1] or remark[2] or ''} "
