"""The words that exports use for yes and no, and for what is in stock, in the languages of the API. Pure.

What can be ordered but is not there (``preorder``, ``backorder``, ``available for order``) is not in stock. Only
WooCommerce's ``onbackorder`` is: that shop sells the product as if it were there.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from .number_formats import ShownNumber
from .shown import BadValue, UnknownWord, shown

if TYPE_CHECKING:
    from .numbers import Notation

__all__ = [
    "LONGEST_NO_VALUE",
    "is_published",
    "means_no_value",
    "says_no",
    "says_yes",
    "tells_more_than_none",
    "to_availability",
    "to_flag",
]

_SCHEMA = re.compile(r"https?://schema\.org/")
_ONE_OR_ZERO = re.compile(r"([01])[.,]0+")
_SPACES = re.compile(r"[\s_\-.!]+")
_AT_LEAST = re.compile(
    r"(?i)(?:[>≥]\s*=?|\+|(?:more|más|mas|mehr|plus|oltre|mais|més|máis)\s+(?:than|de|als|di|do\s+que)|over|über)\s*([0-9]+)"
    r"|([0-9]+)\s*(?:\+|ou\s+plus|o\s+más|or\s+more|und\s+mehr|o\s+més|ou\s+mais|o\s+più)"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(_SPACES.sub("", word) for word in text.split(","))


_YES = _words(
    "true, yes, y, t, 1, on, enabled, enable, active, published, publish, visible, live, "
    "verdadero, sí, si, s, activo, activa, activado, habilitado, publicado, publicada, "
    "vrai, oui, o, actif, active, activé, publié, visible, wahr, ja, j, aktiv, aktiviert, veröffentlicht, sichtbar, "
    "vero, sì, attivo, attiva, abilitato, pubblicato, visibile, verdadeiro, sim, ativo, ativa, ativado, visível, "
    "cert, actiu, activa, activat, publicat, egia, bai, aktibo, argitaratua, ikusgai, "
    "prawda, tak, aktywny, waar, actief"
)
_NO = _words(
    "false, no, n, f, 0, off, disabled, disable, inactive, draft, archived, unpublished, private, hidden, pending, "
    "trash, staging, whitelist only, future, scheduled, auto draft, unlisted, "
    "deactivated, suspended, paused, expired, blocked, rejected, offline, not published, not active, not visible, "
    "desactivada, deshabilitada, oculta, privada, pausado, pausada, suspendido, pendiente, caducado, no activo, "
    "désactivée, privée, masquée, suspendu, en pause, en attente, hors ligne, non publié, non actif, "
    "pausiert, gesperrt, abgelaufen, nicht aktiv, nicht sichtbar, "
    "nascosta, sospeso, in pausa, in attesa, scaduto, non attivo, non pubblicato, non visibile, "
    "suspenso, pendente, expirado, não ativo, não publicado, não visível, "
    "deleted, programado, planifié, geplant, programmato, agendado, "
    "programat, eliminado, falso, falsa, inactivo, inactiva, desactivado, deshabilitado, borrador, privado, oculto, "
    "no publicado, no visible, faux, non, inactif, désactivé, brouillon, privé, masqué, caché, falsch, nein, inaktiv, "
    "deaktiviert, entwurf, privat, versteckt, unsichtbar, nicht veröffentlicht, inattivo, disattivato, disabilitato, "
    "bozza, nascosto, não, nao, inativo, inativa, desativado, rascunho, fals, inactiu, desactivat, esborrany, amagat, "
    "gezurra, faltsua, ez, inaktibo, ezaktibo, zirriborroa, zirriborro, agochado, fałsz, nie, nieaktywny, onwaar, "
    "nee, inactief"
)
_IN_STOCK = _words(
    "instock, in stock, available, limited availability, in store only, online only, low stock, limited stock, "
    "últimas unidades, pocas unidades, ultime unità, poche unità, stock faible, dernières unités, últimas unidades, "
    "onbackorder, on back order, "
    "en stock, disponible, hay existencias, con existencias, en existencias, con stock, en inventario, "
    "en stock, dispo, en magasin, auf lager, lieferbar, verfügbar, vorrätig, sofort lieferbar, "
    "disponibile, in magazzino, in giacenza, disponível, em stock, em estoque, em existência, com stock, "
    "unlimited, infinite, ∞, ilimitado, ilimitada, illimité, unbegrenzt, illimitato, il·limitat, mugagabea, "
    "en estoc, en existència, amb estoc, eskuragarri, stockean, izakinak, biltegian, "
    "dispoñible, en existencias, en existencia, op voorraad, leverbaar, dostępny, w magazynie, в наличии"
)
_NOT_IN_STOCK = _words(
    "outofstock, out stock, out of stock, sold out, unavailable, not available, discontinued, no stock, reserved, "
    "preorder, pre order, presale, backorder, back order, backordered, available for order, made to order, "
    "agotado, agotada, sin existencias, sin stock, sin inventario, no disponible, fuera de stock, descatalogado, "
    "bajo pedido, reserva, preventa, "
    "épuisé, épuisée, rupture, rupture de stock, en rupture de stock, en rupture, hors stock, indisponible, "
    "non disponible, "
    "précommande, sur commande, "
    "ausverkauft, vergriffen, nicht auf lager, nicht lieferbar, nicht verfügbar, nicht vorrätig, vorbestellung, "
    "vorbestellbar, "
    "esaurito, non disponibile, non in magazzino, preordine, su ordinazione, "
    "esgotado, indisponível, sem stock, sem estoque, fora de estoque, fora de stock, pré venda, sob encomenda, "
    "exhaurit, esgotat, sense estoc, sense existències, no disponible, fora d'estoc, "
    "agortuta, stockik gabe, ez dago eskuragarri, ez dago stockean, "
    "sen existencias, sen stock, non dispoñible, "
    "niet op voorraad, uitverkocht, niedostępny, brak w magazynie, нет в наличии"
)


_NO_VALUE = frozenset({"-", "--", "\u2013", "\u2014", "n/a", "n.a.", "na", "n/d", "s/d", "null", "none", "nan", "nil"})
LONGEST_NO_VALUE = max(map(len, _NO_VALUE))


def means_no_value(text: str) -> bool:
    """Is it what exports write where a field that is no text has no value?"""
    return text.strip().casefold() in _NO_VALUE


def _plain(value: object) -> str:
    return _SPACES.sub("", _SCHEMA.sub("", str(value).strip().casefold()))


def _held(value: object) -> object:
    """The number of a cell that shows it in another way, such as ``0 uds``."""
    return value.number if isinstance(value, ShownNumber) else value


def to_flag(value: object, notation: Notation | None = None) -> bool:  # noqa: ARG001 - one signature for all
    """True or false, from the words that exports use for them."""
    if isinstance(value, bool):
        return value
    value = _held(value)
    flag = _flag_of(str(value))
    if flag is not None:
        return flag
    text = _plain(value)
    if text in _IN_STOCK or text in _NOT_IN_STOCK:
        return text in _IN_STOCK
    raise BadValue(f"must be true or false (or yes, no, 1, 0), got {shown(value)}")


def to_availability(value: object, notation: Notation | None = None) -> bool:
    """Is it there to be sold? From words for it, words for yes and no, or a number of pieces.

    Raises `UnknownWord` for any other text.
    """
    if isinstance(value, bool):
        return value
    value = _held(value)
    if isinstance(value, (int, float, Decimal)):
        return value > 0
    try:
        return to_flag(value, notation)
    except BadValue:
        text = str(value).strip()
        if tells_more_than_none(text):
            return True
        if re.fullmatch(r"[+-]?[0-9]+(?:[.,]0+)?", text):
            return not text.startswith("-") and text.strip("+0.,") != ""
        raise UnknownWord(f"is {shown(value)}, which is no word for it that is known") from None


def tells_more_than_none(text: str) -> bool:
    """Does it say how many there are at least (``10+``, ``> 5``, ``más de 20``), and is that one or more?"""
    text = text.strip()
    at_least = _AT_LEAST.fullmatch(text)
    return at_least is not None and (text.startswith(">") or bool((at_least[1] or at_least[2]).strip("0")))


def says_yes(text: str) -> bool:
    """Is it a word for yes, in any of the languages? Spreadsheets translate ``TRUE``."""
    return _flag_of(text) is True


def says_no(text: str) -> bool:
    """Is it a word for no? What is neither of them is no yes, and no no."""
    return _flag_of(text) is False


def _flag_of(text: str) -> bool | None:
    if text.lstrip().startswith("-"):
        return None  # -1 is a draft to some, and true to others
    plain = _plain(text)
    if plain in _YES or plain in _NO:
        return plain in _YES
    one_or_zero = _ONE_OR_ZERO.fullmatch(text.strip())
    return None if one_or_zero is None else one_or_zero[1] == "1"


def is_published(value: object) -> bool | None:
    """What a word for a product's state says of its being published; ``None`` where it speaks of something else."""
    if isinstance(value, bool):
        return value
    text = _plain(value)
    if len(text) == 1 and not text.isdigit():
        return None  # a letter is a code of its own
    return _flag_of(str(value))
