"""Which product field a column is, by its name in the languages of the API. Pure.

A name counts without case, accents, spaces and signs: ``Precio oferta``, ``precio_oferta`` and ``PRECIO-OFERTA`` are
one. Best first: where two columns fit, the earlier spelling wins and the other is reported as ignored.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

from .column_words import essence_of, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "HIGHER_PRICES",
    "SALE_DATES",
    "STATES",
    "UNDERSTOOD",
    "WITHHELD",
    "bounds_in",
    "claims_of",
    "recognised_field",
]

SALE_DATES = ("sale_starts", "sale_ends", "sale_period")
"""Not fields of a product: they say when the sale price holds."""
HIGHER_PRICES = ("regular_price", "struck_price")
"""Nor are these: beside a lower price, they make it that of a sale."""
WITHHELD = ("hidden", "draft", "archived", "deleted", "disabled")
"""Nor are these: a yes, or the date when it was done, says that a product is not published."""
STATES = ("status", "visibility", "shown", *WITHHELD)
"""Nor are these: their words may say whether a product is published (``draft``), or something else (``used``)."""

_SPELLINGS: dict[str, str] = {
    # English; then Spanish, French, German, Italian, Portuguese, Catalan, Basque and Galician.
    "external_id": (
        "externalid id productid itemid articleid identifier idproducto iddelproducto idarticulo identificador "
        "idproduit identifiant identifiantproduit produktid artikelid idprodotto identificativo idproduto idartigo "
        "idproducte produktuid produktuarenid identifikatzailea retailerid objectid"
    ),
    "name": (
        "name title productname producttitle nombre nombreproducto nombredelproducto nombredeproducto titulo nom "
        "nomproduit nomduproduit titre libelle designation bezeichnung produktname produktbezeichnung artikelname "
        "artikelbezeichnung titel nome nomeprodotto nomedelprodotto titolo nomeproduto nomedoproduto nomdelproducte "
        "nomproducte titol izena produktuarenizena izenburua producto produit produkt artikel prodotto produto "
        "producte produktua articulo articolo artigo nombrearticulo nombredelarticulo denominacion tituloproducto "
        "titulodelproducto titreproduit titreduproduit intitule produkttitel denominazione titoloprodotto "
        "titulodoproduto denominacio designacao itemname itemtitle articlename product kurzbezeichnung kurzbez "
        "artikelkurzbezeichnung"
    ),
    "price": (
        "price regularprice listprice precio precionormal precioregular precioconiva precioiva preciooriginal pvp "
        "preciodeventa precioventa preciofinal preciobase prix prixnormal prixregulier prixttc prixdevente "
        "tarifregulier tarif preis regularerpreis regulaererpreis normalpreis verkaufspreis bruttopreis listenpreis "
        "prezzo prezzodilistino prezzonormale prezzoregolare prezzodivendita preco preconormal precoregular "
        "precodevenda preu preunormal preuregular preudevenda prezioa ohikoprezioa prezioarrunta prezo prezonormal "
        "prezoregular preciodeventaalpublico precioventapublico precioventaalpublico pvpconiva pvpivaincl "
        "pvpivaincluido precioivaincl precioivaincluido prixdeventettc prixpublic prixpublicttc pvttc preisbrutto "
        "preisinklmwst vkbrutto vkpreis verkaufspreisbrutto prezzoivato prezzoivainclusa prezzoivaincl prezzoconiva "
        "precocomiva precoivaincluido preuambiva preuivaincl pvpambiva salmentaprezioa prezodevenda sellingprice "
        "priceincltax priceinclvat pricewithtax pricewithvat grossprice precioventatotal preciounitario prixunitaire "
        "prezzounitario precounitario preuunitari stuckpreis unitprice prixfinal prixvente prixdeventepublic "
        "prixventepublic endpreis prezzofinale prezzovendita prezzoalpubblico prezzodivenditaalpubblico precofinal "
        "precovenda precodevendaaopublico preufinal preuvenda preudevendaalpublic prezofinal prezovenda azkenprezioa "
        "finalprice currentprice pricenow nowprice precioactual precioahora prixactuel aktuellerpreis prezzoattuale "
        "precoatual preuactual prezoactual"
    ),
    "url": (
        "url link producturl productlink permalink enlace urlproducto urldelproducto enlaceproducto direccionweb "
        "vinculo lien lienproduit urlproduit urlduproduit produkturl produktlink collegamento linkprodotto "
        "urlprodotto ligacao hiperligacao linkdoproduto urldoproduto urlproduto enllac urlproducte urldelproducte "
        "esteka produktuarenurl produktuurl ligazon enlacepermanente paginaproducto paginadelproducto lienduproduit "
        "pageproduit produktseite linkdelprodotto paginaprodotto paginadoproduto canonicalurl deeplink href "
        "productpage pageurl urlpage urlpagina paginaurl seitenurl"
    ),
    "sku": "sku",
    "description": (
        "description productdescription longdescription bodyhtml descripcion descripcionlarga descripciondelproducto "
        "descripcionproducto descriptif descriptionlongue descriptionproduit beschreibung produktbeschreibung "
        "langbeschreibung artikelbeschreibung descrizione descrizionelunga descrizioneprodotto descricao "
        "descricaolonga descricaodoproduto descripcio descripciollarga deskribapena azalpena descricion "
        "descricionlonga shortdescription descripcioncorta descriptioncourte kurzbeschreibung descrizionebreve "
        "descricaocurta descripciocurta deskribapenlaburra descricioncurta"
    ),
    "currency": (
        "currency currencycode pricecurrency moneda divisa codigomoneda codigodemoneda devise monnaie wahrung waehrung "
        "valuta moeda dibisa moneta"
    ),
    "image_url": (
        "imageurl imagelink image imagesrc picture mainimage imageurls images photo imagen urlimagen urldelaimagen "
        "imagenprincipal imagenurl imagenes foto fotografia urlimage imageprincipale bild bildurl produktbild "
        "hauptbild bilder immagine urlimmagine immagineprincipale immagini imagem urlimagem urldaimagem "
        "imagemprincipal imagens imatge urlimatge imatgeprincipal imatges irudia irudiarenurl irudiak argazkia imaxe "
        "urlimaxe imaxeprincipal imaxes enlaceimagen enlacedeimagen enlacedelaimagen bildlink lienimage liendelimage "
        "linkimmagine linkimagem linkdaimagem enllacimatge fotos fotourl urlfoto photos photourl visuel pictureurl "
        "picturelink img imgurl image1 imagen1 bild1 immagine1 mainimageurl imagesurl thumbnail thumbnailurl"
    ),
    "categories": (
        "categories category producttype categoria categorias familia categorie rayon kategorie kategorien "
        "warengruppe kategoria kategoriak seccion categoriaproducto categoriadelproducto famille produktkategorie "
        "productcategory productcategories categorypath categoryname categoriamerceologica merchantcategory"
    ),
    "brands": (
        "brands brand vendor manufacturer marca marcas fabricante marque marques fabricant marke marken hersteller "
        "produttore marchio marchi marques marka markak fabrikatzailea brandname productbrand markenname"
    ),
    "tags": (
        "tags tag keywords etiquetas palabrasclave etiquettes motscles schlagworter schlagwoerter stichworte etichette "
        "parolechiave palavraschave etiquetes paraulesclau etiketak palabraschave"
    ),
    "in_stock": (
        "instock availability stockstatus isavailable available disponibilidad disponible enstock hayexistencias "
        "estadostock estadodelstock disponibilite verfugbarkeit verfuegbarkeit verfugbar verfuegbar lieferbar "
        "auflager vorratig vorraetig disponibilita disponibile disponibilidade disponivel emstock emestoque "
        "disponibilitat enestoc eskuragarritasuna eskuragarri dispoñible stockean haystock isinstock lieferstatus "
        "availabilitystatus"
    ),
    "stock_quantity": (
        "stockquantity stock quantity inventoryquantity qty existencias cantidad stockdisponible inventario unidades "
        "quantite quantiteenstock inventaire bestand lagerbestand lagermenge menge giacenza giacenze quantita scorte "
        "quantidade estoque quantitat estoc existencies unitats kopurua izakinak stocka cantidade stockactual "
        "cantidaddisponible unidadesdisponibles qte quantitedisponible verfugbaremenge verfuegbaremenge lagerstand "
        "qta quantitadisponibile quantidadedisponivel quantitatdisponible stockqty stocklevel currentstock "
        "qtyavailable availableqty availablequantity quantityavailable instockquantity onhand qtyonhand quantityonhand "
        "qtystock quantitystock qtyinstock cantidadstock cantidadamano unidadesstock unitatsestoc quantitestock "
        "unitesstock stocktotal totalstock qtd qtde countinstock"
    ),
    "rating": (
        "rating averagerating valoracion valoracionmedia puntuacion notemoyenne durchschnittsbewertung valutazione "
        "valutazionemedia avaliacaomedia valoracio valoraciomitjana puntuacio batezbestekobalorazioa avgrating "
        "ratingaverage notamedia"
    ),
    "review_count": (
        "reviewcount reviewscount ratingcount numerodevaloraciones numerodeopiniones numeroderesenas nombredavis "
        "anzahlbewertungen bewertungsanzahl numerorecensioni numerodirecensioni numerodeavaliacoes "
        "nombredevaloracions nombrederessenyes balorazioak numerodevaloracions numreviews numberofreviews "
        "ratingscount noofratings reviewcounts nbavis nvaloraciones novaloraciones numerovaloraciones"
    ),
    "is_active": (
        "isactive active published enabled activo activa activado habilitado publicado publicada actif publie aktiv "
        "veroffentlicht veroeffentlicht attivo attiva pubblicato ativo ativa actiu publicat aktibo argitaratua"
    ),
    "sale_price": (
        "saleprice specialprice discountedprice discountprice offerprice promoprice promotionalprice precioferta "
        "preciooferta preciodeoferta preciorebajado preciopromocional preciodescuento precioconconofertas "
        "precioendescuento prixpromo prixpromotionnel prixpromotion prixsolde prixremise tarifpromo angebotspreis "
        "aktionspreis sonderpreis reduzierterpreis prezzoinofferta prezzoofferta prezzodiofferta prezzoscontato "
        "prezzopromozionale prezzospeciale precopromocional precooferta precodeoferta precopromo precoemsaldo "
        "preurebaixat preuoferta preudoferta preuespecial eskaintzaprezioa prezioberezia prezorebaixado prezooferta "
        "prezodeoferta preciopromocion preciopromo precioespecial prixreduit rabattpreis prezzopromo precoempromocao "
        "preupromocional prezoespecial sonderangebotspreis pvpoferta pvprebajado pvppromocion pvppromocional"
    ),
    "regular_price": (
        "regularprice originalprice precionormal precioregular preciooriginal prixnormal prixregulier prixoriginal "
        "tarifregulier regularerpreis regulaererpreis normalpreis originalpreis prezzonormale prezzoregolare "
        "prezzooriginale preconormal precoregular precooriginal preunormal preuregular preuoriginal ohikoprezioa "
        "prezioarrunta prezonormal prezoregular prezoorixinal"
    ),
    "struck_price": (
        "compareatprice compareprice comparetoprice compareat oldprice wasprice previousprice strikethroughprice "
        "priceold pricebefore pricebeforediscount preciotachado precioanterior precioantes precioantiguo prixbarre "
        "ancienprix prixavantremise streichpreis alterpreis vorherigerpreis prezzobarrato prezzoprecedente "
        "vecchioprezzo precoanterior precoantigo precoriscado preuanterior preuratllat aurrekoprezioa prezoanterior"
    ),
    "parent_external_id": (
        "parentexternalid parentid parentproductid idpadre idproductopadre padreid idparent idproduitparent elternid "
        "parentartikelid idgenitore idprodottopadre idpai idprodutopai idpare gurasoaid gurasoarenid"
    ),
    "attributes": "attributes",
    "sale_starts": (
        "salestarts salestart salestartdate salepricestart salepricestartdate salepricestartsat datesalepricestarts "
        "specialpricefromdate specialpricefrom specialfromdate saleeffectivefrom discountfrom discountstartdate "
        "fechainiciooferta iniciooferta ofertadesde datedebutpromo datedebutpromotion debutpromo angebotbeginn "
        "angebotvon inizioofferta datainizioofferta iniciopromocao datainiciopromocao iniciooferta datainicioferta "
        "datainicioferta"
    ),
    "sale_ends": (
        "saleends saleend saleenddate salepriceend salepriceenddate salepriceendsat datesalepriceends "
        "specialpricetodate specialpriceto specialtodate saleeffectiveto discountto discountenddate fechafinoferta "
        "finoferta ofertahasta datefinpromo datefinpromotion finpromo angebotende angebotbis fineofferta "
        "datafineofferta fimpromocao datafimpromocao fioferta datafioferta"
    ),
    "sale_period": (
        "salepriceeffectivedate saleeffectivedate salepricedates sonderangebotszeitraum periodedevaliditeduprixsolde "
        "fechadeentradaenvigordelpreciodeoferta periododevalidezdelpreciodeoferta datadivaliditaprezzoscontato "
        "periododivaliditadelprezzoscontato datadevalidadedoprecopromocional periododevalidadedoprecopromocional"
    ),
    "status": (
        "status productstatus poststatus publicationstatus estado estadoproducto estadodelproducto estadopublicacion "
        "statut stato estat egoera"
    ),
    "visibility": (
        "visibility catalogvisibility visibilityincatalog visibilidad visibilite sichtbarkeit visibilita visibilidade "
        "visibilitat ikusgarritasuna ikuspena"
    ),
    "shown": (
        "visible isvisible productvisible mostrado affiche sichtbar visibile visivel ikusgai onlinestatus online "
        "enligne ispublished isenabled websitepublished publishedonwebsite publishedonstore showinstore showonstore "
        "showinshop showonwebsite visibleinstore visibleonwebsite visibleonline mostrarentienda mostrarenlatienda "
        "mostrarenweb mostrarenlaweb visibleentienda visibleenweb visibleweb publicarenweb exibirnaloja exibirnosite "
        "visivelnaloja visibleenligne affichersurlesite imshopsichtbar onlinesichtbar visibileonline mostranelnegozio"
    ),
    "hidden": (
        "hidden ishidden oculto oculta masque cache versteckt ausgeblendet nascosto nascosta escondido amagat agochado"
    ),
    "draft": "draft isdraft borrador esborrador brouillon entwurf bozza rascunho esborrany zirriborroa",
    "archived": "archived isarchived archivedat archivado archivada archive archiviert archiviato arquivado arxivat",
    "deleted": (
        "deleted isdeleted deletedat softdeleted trashed eliminado eliminada borrado supprime geloscht geloescht "
        "eliminato cancellato apagado excluido esborrat ezabatua"
    ),
    "disabled": (
        "disabled isdisabled deshabilitado desactivado desactive deaktiviert disabilitato disattivato desativado "
        "desactivat deactivated isdeactivated blocked isblocked bloqueado bloqueada gesperrt baja dadodebaja "
        "inactive isinactive inactivo inactif inaktiv inattivo inativo"
    ),
}
_CODES = (
    "referencia ref reference referenceproduit codigo codigoproducto codigodeproducto codigoarticulo code codeproduit "
    "codearticle referenz artikelnummer artikelnr artnr produktnummer riferimento codice codiceprodotto codicearticolo "
    "codigodoproduto codigoproduto codi codiproducte kodea erreferentzia productcode itemcode itemnumber "
    "codarticulo codproducto codarticolo codiarticle codigoartigo codigodeartigo bestellnummer bestellnr "
    "numeroarticulo numerodearticulo noarticulo nodearticulo numarticulo numerodarticle numeroarticolo productnumber "
    "partnumber itemno itemnr cod referenciainterna internalreference defaultcode"
)
"""An article's code is its id in a catalog without one, and its SKU in any other."""


def _ranks() -> dict[str, list[tuple[str, int]]]:
    ranks: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for field, spellings in _SPELLINGS.items():
        words = spellings.split() + (_CODES.split() if field in {"external_id", "sku"} else [])
        for rank, word in enumerate(dict.fromkeys(map(_plain, words))):
            ranks[word].append((field, rank))
    return ranks


def _plain(name: str) -> str:
    if not name.isascii():
        name = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return re.sub(r"[^a-z0-9]", "", name.casefold())


_RANKS = _ranks()
_INFERRED = 1_000
"""The rank of a name that is understood by its words: behind all that are known as they stand."""
UNDERSTOOD = 2_000
"""From this rank on, two columns that bear one name may say two things (``Nombre (es)``, ``Nombre (en)``)."""
_IN_A_LANGUAGE = 500
_PRICES = frozenset({"price", "sale_price", *HIGHER_PRICES})
_OF_CHANNEL = _PRICES | {"description", "stock_quantity", "in_stock", "is_active"}
_OF_SEVERAL = frozenset({"image_url", "categories"})
_TRANSLATED = frozenset({"name", "description", "url", "categories", "tags"})


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SALE_WORDS = _set(
    "sale sales special discount discounted offer promo promos promotion promotional oferta ofertas rebaja rebajas "
    "rebajado descuento promocion promocional especial solde soldes remise promotionnel angebot angebots angebotspreis "
    "angebotspreises aktion aktions aktionspreis sonderpreis sonderpreises sonderangebot rabatt offerta sconto saldo "
    "saldi promozione speciale promocao desconto campanha rebaixa rebaixes rebaixat descompte promocio eskaintza "
    "eskaintzaren beherapen merkealdi rebaixado"
)
_START_WORDS = _set(
    "start starts starting from begin begins beginning since desde inicio comienzo comienza empieza von ab beginn "
    "debut depuis commence dal inizio partenza inici comenca hasiera hasten comezo empeza"
)
_END_WORDS = _set(
    "end ends ending to until till thru through expires expiry hasta fin termina vence bis ende endet jusqu jusque "
    "fine fino scadenza ate fim fins acaba amaiera amaitzen ata remata"
)
_COMPOUNDS = {
    **dict.fromkeys(("angebotsbeginn", "angebotsstart", "aktionsbeginn", "aktionsstart"), ("angebot", "beginn")),
    **dict.fromkeys(("angebotsende", "aktionsende"), ("angebot", "ende")),
}


def _words(column: str) -> list[str]:
    return [part for word in words_of(column) for part in _COMPOUNDS.get(word, (word,))]


@lru_cache(maxsize=4096)
def bounds_in(column: str) -> tuple[bool, str | None]:
    """Does the name of a column speak of a sale, and of its start or its end (``sale_starts``, ``sale_ends``)?"""
    words = set(_words(column))
    starts, ends = bool(words & _START_WORDS), bool(words & _END_WORDS)
    bound = None if starts == ends else "sale_starts" if starts else "sale_ends"
    return bool(words & _SALE_WORDS), bound


def _sale_date(column: str) -> str | None:
    """``Sonderpreis bis``, ``fecha fin de oferta``, ``promoEndDate``: when a sale begins or ends."""
    is_sale, bound = bounds_in(column)
    return bound if is_sale else None


@lru_cache(maxsize=4096)
def claims_of(column: str) -> tuple[tuple[str, int], ...]:
    """The fields that a column of this name may be, and the ranks of the spelling (0 is the best)."""
    if found := _RANKS.get(_plain(column)):
        return tuple(found)
    if (bound := _sale_date(column)) is not None:
        return ((bound, _INFERRED),)
    prefix, dot, name = column.partition(".")
    if dot and name and prefix.strip().lower() == "attributes":
        return ((f"attributes.{name.strip()}", 0),)
    return tuple(_understood(column)) or _said_twice(column)


def _understood(column: str) -> Iterator[tuple[str, int]]:
    """What a name says without the words that say nothing new: ``Nombre del artículo``, ``PVP c/ IVA``."""
    essence = essence_of(column)
    if essence is None:
        return
    rank_by_words = UNDERSTOOD + (_IN_A_LANGUAGE if essence.in_a_language else 0)
    for field, rank in next((_RANKS[name] for name in essence.names if name in _RANKS), ()):
        if (
            (not essence.with_tax or field in _PRICES)
            and (not essence.of_channel or field in _OF_CHANNEL)
            and (not essence.is_first or field in _OF_SEVERAL)
            and (not essence.in_a_language or field in _TRANSLATED)
        ):
            yield field, rank_by_words + rank


def _said_twice(column: str) -> tuple[tuple[str, int], ...]:
    """``Fabricante / Marca``: two names of one field."""
    fields = {recognised_field(part.strip()) for part in column.split("/")} if "/" in column else {None}
    field = fields.pop()
    return () if field is None or fields else ((field, UNDERSTOOD),)


def recognised_field(column: str) -> str | None:
    """The product field that a column of this name is first of all."""
    claims = claims_of(column)
    return claims[0][0] if claims else None
