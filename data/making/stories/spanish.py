"""Tell the stories in Spanish: words with their gender, articles, and who may be left unsaid."""
import re

from .tongue import Tongue, table
from .world import Animal, Kin, Person, Role, Thing

WORDS = table("""
ball=pelota/f; kite=cometa/f; doll=muñeca/f; drum=tambor/m; boat=barco de juguete/m; train=tren de juguete/m
puzzle=rompecabezas/m; whistle=silbato/m; flute=flauta/f; hoop=aro/m; marble=canica/f; top=peonza/f
hat=sombrero/m; scarf=bufanda/f; coat=abrigo/m; glove=guante/m; ring=anillo/m; necklace=collar/m; ribbon=cinta/f
cap=gorra/f; umbrella=paraguas/m; bag=bolsa/f; belt=cinturón/m; lantern=farol/m; basket=cesta/f; key=llave/f
bucket=cubo/m; blanket=manta/f; cup=taza/f; bowl=cuenco/m; jar=tarro/m; candle=vela/f; spoon=cuchara/f
book=libro/m
pencil=lápiz/m; clock=reloj/m; bell=campanilla/f; mirror=espejo/m; box=caja de madera/f; feather=pluma/f
shell=concha/f; stone=piedra/f; coin=moneda/f; map=mapa/m; button=botón/m
pancakes=tortitas/fp; apple_pie=tarta de manzana/f; tomato_soup=sopa de tomate/f
carrot_cake=pastel de zanahoria/m
fish_stew=guiso de pescado/m; rice_pudding=arroz con leche/m/arroz con leche; honey_bread=pan de miel/m
bean_soup=sopa de alubias/f; cheese_tart=tarta de queso/f; plum_jam=mermelada de ciruela/f/mermelada de ciruela
nut_biscuits=galletas de nuez/fp; lemon_cake=bizcocho de limón/m; eggs=huevos/mp; milk=leche/f; flour=harina/f
apples=manzanas/fp; butter=mantequilla/f; tomatoes=tomates/mp; onions=cebollas/fp; carrots=zanahorias/fp
sugar=azúcar/m; fish=pescado/m; potatoes=patatas/fp; rice=arroz/m; honey=miel/f/un tarro de miel
beans=alubias/fp
cheese=queso/m/un trozo de queso; plums=ciruelas/fp/una bolsa de ciruelas; nuts=nueces/fp; lemons=limones/mp
cherries=cerezas/fp; strawberries=fresas/fp; oranges=naranjas/fp; pears=peras/fp; bread=pan/m/un trozo de pan
apple=manzana/f; cake=pastel/m/un trozo de pastel; soup=sopa/f/un plato de sopa; nut=nuez/f; pear=pera/f
cat=gato/m; dog=perro/m; rabbit=conejo/m; parrot=loro/m; hamster=hámster/m; tortoise=tortuga/f; pony=poni/m
goat=cabra/f; hen=gallina/f; mouse=ratón/m; hedgehog=erizo/m; lamb=cordero/m; kitten=gatito/m; deer=ciervo/m
duck=pato/m; fox=zorro/m; sparrow=gorrión/m; owl=búho/m; crow=cuervo/m; goose=ganso/m; swan=cisne/m
puppy=cachorro/m; squirrel=ardilla/f; donkey=burro/m; duckling=patito/m; calf=ternero/m; frog=rana/f
blackbird=mirlo/m; snail=caracol/m; bee=abeja/f; pigeon=paloma/f; butterfly=mariposa/f; dragonfly=libélula/f
gull=gaviota/f; heron=garza/f; hare=liebre/f; lark=alondra/f; woodpecker=pájaro carpintero/m; hawk=halcón/m
sheep=oveja/f; fly=mosca/f; spider=araña/f; bear=oso/m; wolf=lobo/m; lion=león/m; ox=buey/m; eagle=águila/f
beetle=escarabajo/m; fishes=pez/m; sunflower=girasol/m; pumpkin=calabaza/f; tulip=tulipán/m; rose=rosa/f
apple_tree=manzano/m; snowman=muñeco de nieve/m; raft=balsa/f; treehouse=casita en el árbol/f
sandcastle=castillo de arena/m; den=cabaña/f; birdhouse=casita para pájaros/f; dam=presa/f
scarecrow=espantapájaros/m
chest=cofre/m
""")
PLACES = table("""
bedroom=dormitorio/m; kitchen=cocina/f; attic=desván/m; garden=jardín/m; orchard=huerto/m; park=parque/m
playground=patio de juegos/m; pond=estanque/m/junto a; school=escuela/f; library=biblioteca/f; market=mercado/m
station=estación/f; bridge=puente/m; river=río/m/junto a; mill=molino/m; field=campo/m; barn=granero/m
wood=bosque/m
hill=colina/f
""")
TABLES = {"job": table("""
pilot=piloto/piloto; sailor=marinero/marinera; dancer=bailarín/bailarina; inventor=inventor/inventora
baker=panadero/panadera/amasó un pan/se amasa el pan
doctor=médico/médica/escuchó un corazón/se escucha un corazón
vet=veterinario/veterinaria; firefighter=bombero/bombera; engineer=ingeniero/ingeniera; clown=payaso/payasa
farmer=granjero/granjera/ordeñó una vaca/se ordeña una vaca
carpenter=carpintero/carpintera/serró una tabla/se sierra una tabla
astronaut=astronauta/astronauta; explorer=explorador/exploradora; singer=cantante/cantante
writer=escritor/escritora
librarian=bibliotecario/bibliotecaria/forró un libro/se forra un libro
clockmaker=relojero/relojera/dio cuerda a un reloj/se da cuerda a un reloj; gardener=jardinero/jardinera
diver=buzo/buza; painter=pintor/pintora/mezcló un verde nuevo/se mezcla un verde nuevo
driver=conductor/conductora
potter=alfarero/alfarera/dio forma al barro/se da forma al barro
miller=molinero/molinera/molió el trigo/se muele el trigo; scientist=científico/científica
cook=cocinero/cocinera/picó una cebolla/se pica una cebolla; teacher=maestro/maestra
musician=músico/música/tocó una melodía/se toca una melodía
nurse=enfermero/enfermera/puso una venda/se pone una venda
tailor=sastre/modista/cosió un botón/se cose un botón
beekeeper=apicultor/apicultora/sacó miel de la colmena/se saca la miel de la colmena
shoemaker=zapatero/zapatera/clavó un tacón/se clava un tacón
blacksmith=herrero/herrera/dobló el hierro caliente/se dobla el hierro caliente
shopkeeper=tendero/tendera/pesó el arroz/se pesa el arroz
postman=cartero/cartera/ordenó las cartas/se ordenan las cartas
fisherman=pescador/pescadora/remendó una red/se remienda una red
"""), "hobby": table("""
swimming=nadar/nadando; fishing=pescar/pescando; drawing=dibujar/dibujando
chess=jugar al ajedrez/jugando al ajedrez
singing=cantar/cantando; gardening=trabajar en el jardín/trabajando en el jardín
riding=montar a caballo/montando a caballo; climbing=trepar a los árboles/trepando a los árboles
dancing=bailar/bailando; cooking=cocinar/cocinando; reading=leer/leyendo; skating=patinar/patinando
football=jugar al fútbol/jugando al fútbol
"""), "colour": table("""
red=rojo/roja; blue=azul/azul; green=verde/verde; yellow=amarillo/amarilla; white=blanco/blanca
black=negro/negra
orange=naranja/naranja; purple=morado/morada
"""), "size": table("""
big=grande/grande; small=pequeño/pequeña; tiny=diminuto/diminuta; old=viejo/vieja; new=nuevo/nueva
"""), "weekday": table("""
monday=lunes; tuesday=martes; wednesday=miércoles; thursday=jueves; friday=viernes; saturday=sábado
sunday=domingo
"""), "time": table("""
morning=mañana/por la mañana; afternoon=tarde/por la tarde; evening=noche/por la noche
"""),
    "weather": table("""
sunny=brillaba el sol/soleada/soleado; clear=el cielo estaba despejado/serena/sereno
rainy=la lluvia caía sobre los tejados/lluviosa/lluvioso
windy=el viento sacudía los árboles/ventosa/ventoso; snowy=la nieve cubría los tejados/de nieve/de nieve
foggy=la niebla cubría el pueblo/de niebla/de niebla; cloudy=había nubes grises en el cielo/nublada/nublado
warm=el aire era tibio/cálida/cálido; cold=hacía mucho frío/fría/frío
"""), "how": table("""
walk=fue caminando; run=corrió; skip=fue dando saltitos; hurry=fue a toda prisa; tiptoe=fue de puntillas
creep=se deslizó sin hacer ruido
"""),
    "doing": table("""
read=leía un libro; eat_apple=comía una manzana; whistle=silbaba una canción
feed_birds=daba de comer a los pájaros; draw_map=dibujaba un mapa; rest=descansaba un rato
sweep=barría el suelo
"""),
    "over": table("""
root=tropezó con una raíz; stone=tropezó con una piedra; mud=resbaló en el barro
laces=se pisó los cordones y se cayó
"""),
    "part": table("""
carrot=una zanahoria; buttons=los botones; logs=los troncos; rope=una cuerda; boards=las tablas
nails=los clavos; bucket=un cubo; shells=unas conchas; branches=las ramas; leaves=hojas secas; paint=la pintura
stones=las piedras; mud=el barro; straw=la paja; old_hat=un sombrero viejo
"""),
    "spot": table("""
under_bed=debajo de la cama; behind_curtain=detrás de la cortina; under_pillow=debajo de la almohada
under_table=debajo de la mesa; behind_stove=detrás de la cocina de leña; on_shelf=en el estante
in_trunk=en el viejo baúl
behind_chimney=detrás de la chimenea; under_blanket=debajo de una manta polvorienta
under_rose_bush=debajo del rosal
behind_shed=detrás del cobertizo; by_wall=junto al muro; under_apple_tree=debajo del manzano más viejo
in_wheelbarrow=en la carretilla; in_long_grass=entre la hierba alta; under_bench=debajo de un banco
behind_oak=detrás del gran roble; by_fountain=junto a la fuente; under_slide=debajo del tobogán
by_swings=junto a los columpios; in_sandpit=en el arenero; among_reeds=entre los juncos
on_flat_stone=sobre una piedra plana
by_jetty=junto al embarcadero; under_desk=debajo de un pupitre; in_cloakroom=en el guardarropa
behind_piano=detrás del piano
between_books=entre dos filas de libros; under_stairs=debajo de la escalera
on_window_seat=en el asiento de la ventana
under_stall=debajo de un puesto vacío; between_barrels=entre dos barriles; beside_scales=al lado de la balanza
under_timetable=debajo del horario; in_waiting_room=en la sala de espera; on_platform=en el andén
under_arch=debajo del arco
beside_lamp=al lado de la farola; on_railing=en la barandilla; under_willow=debajo del sauce
in_old_boat=en una barca vieja
among_stones=entre las piedras; behind_sacks=detrás de los sacos; beside_wheel=al lado de la gran rueda
on_steps=en los escalones; in_ditch=en la zanja; behind_haystack=detrás del pajar; by_gate=junto a la verja
in_hay=en el heno
behind_ladder=detrás de la escalera de mano; under_cart=debajo del carro; in_hollow_tree=en un árbol hueco
under_ferns=debajo de los helechos; behind_log=detrás de un tronco; behind_rock=detrás de una roca
beside_bush=al lado de un arbusto; in_old_tower=en la torre vieja
""")}
KIN = {
    "mother": "madre", "father": "padre", "grandmother": "abuela",
    "grandfather": "abuelo", "aunt": "tía", "uncle": "tío",
}
ROLES = {
    "teacher": "el maestro",
    "old man": "un anciano",
    "old woman": "una anciana",
}
NAMES = {
    "Ella": "Ela", "Sofia": "Sofía", "Oscar": "Óscar", "Martin": "Martín",
    "Victor": "Víctor", "Felix": "Félix", "Simon": "Simón",
}
NUMBERS = ("cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
           "diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco "
           "veintiséis veintisiete veintiocho veintinueve").split()
TENS = "treinta cuarenta cincuenta sesenta".split()
ARTICLES = {"the": "el la los las".split(), "a": "un una unos unas".split()}


class Spanish(Tongue):
    """Rules of Spanish: articles agree, a + el and de + el melt, a clear subject is left out."""

    language, words, tables = "spanish", WORDS, TABLES
    formats = {"f": 1, "m": 0, "por": 1, "adj": 1, "masc": 2, "ger": 1, "did": 2, "does": 3}

    def article(self, kind: str, key: str) -> str:
        """Put the article that agrees; before a stressed a- it is el, un: el águila."""
        word, gender = WORDS[key][0], self.gender(key)
        if gender == 1 and word.startswith(("águila", "agua", "ala")):
            gender = 0
        return f"{ARTICLES[kind][gender]} {word}"

    def who(self, who, form, *, fresh, known, hero):
        name = NAMES.get(who.name, who.name) if isinstance(who, Person) else ""
        match who:
            case Animal():
                named = {"mi": f"a mi {WORDS[who.kind][0]}", "bare": WORDS[who.kind][0]}
                return named.get(form, who.name)
            case Kin():
                named = f"su {KIN[who.kind]}"
            case Role():
                named = ROLES[who.kind] if not known else re.sub("^una? ", lambda a: "el " if a[0] == "un " else "la ",
                                                                  ROLES[who.kind])
            case Person() if known or form == "name" or who is hero:
                named = name
            case Person() if not who.is_child:
                named = ARTICLES["the"][self.gender(who)] + f" {TABLES['job'][who.job][self.gender(who)]} {name}"
            case Person() if hero and who.town == hero.town:
                named = f"su {'amiga' if self.gender(who) else 'amigo'} {name}"
            case _:
                named = name
        if form in ("", "le") and fresh:
            return ""
        return {"a": "a ", "le": "a ", "de": "de "}.get(form, "") + named

    def thing(self, thing: Thing, form, owner):
        noun = WORDS[thing.kind][0]
        look = [TABLES["colour" if thing.colour else "size"][thing.colour or thing.size][self.gender(thing)]
                ] if thing.colour or thing.size else []
        match form:
            case "bare":
                return noun
            case "mi":
                return f"mi {noun}"
            case "a":
                return " ".join([self.article("a", thing.kind), *look])
        return self.article("the", thing.kind)

    def animal(self, kind, form, owner=None):
        key = "fishes" if kind == "fish" else kind
        if form == "bare":
            return WORDS[key][0]
        return {"al": "a "}.get(form, "") + self.article("a" if form == "a" else "the", key)

    def gender(self, value):
        if isinstance(value, Animal) and value.kind == "fish":
            return 0
        return super().gender(value)

    def number(self, n, form):
        if form == "h":
            return "una hora" if n == 1 else f"{NUMBERS[n]} horas"
        if n == 100:
            return "cien"
        return NUMBERS[n] if n < 30 else TENS[n // 10 - 3] + (f" y {NUMBERS[n % 10]}" if n % 10 else "")

    def listed(self, foods, form):
        words = [WORDS[food][0] for food in foods]
        last = "ni" if form == "or" else "y"
        return ", ".join(words[:-1]) + f" {last} {words[-1]}" if len(words) > 1 else words[0]

    def word(self, kind, key, form):
        if kind == "place" and form == "there":
            return "allí"
        if kind == "place":
            noun, gender, *near = PLACES[key]
            the = ARTICLES["the"][gender == "f"] + " " + noun
            near = near[0] if near else "en"
            return {"in": f"{near} {the}", "to": f"a {the}", "from": f"de {the}",
                    "hacia": f"hacia {the}", "inside": f"en {the}"}.get(form, the)
        if kind in ("food", "plant", "work"):
            noun, plural = WORDS[key][0], self.gender(key) > 1
            end = "o a os as".split()[self.gender(key)]
            match form:
                case "a":
                    return WORDS[key][2] if len(WORDS[key]) > 2 else self.article("a", key)
                case "n":
                    return "n" if plural else ""
                case "bare":
                    return noun
                case "pro":
                    return "lo la los las".split()[self.gender(key)]
                case "es":
                    return "son" if plural else "es"
                case "estaba":
                    return "estaban" if plural else "estaba"
                case "bueno" | "quemado":
                    return form[:-1] + end
                case "fruit":
                    return {"pumpkin": "una calabaza", "apple_tree": "una manzana"}[key]
            return self.article("the", key)
        if kind == "town" or kind == "pet_name":
            return key
        return super().word(kind, key, form)

    def finish(self, text):
        melted = {"a": "al", "A": "Al", "de": "del", "De": "Del"}
        text = re.sub(r"\b([Aa]|[Dd]e) el\b(?! [A-Z])", lambda m: melted[m[1]], text)
        text = re.sub(r" +", " ", text).replace(" ,", ",").replace(" .", ".").replace("\n ", "\n")
        text = re.sub(r"\by (?=[Ii][^a]|[Hh]i[^ae])", "e ", text)
        return re.sub(r"((?:^|\n)—?|[.!?»] )([¿¡«]*)(\w)", lambda m: m[1] + m[2] + m[3].upper(), text)


TONGUE = Spanish()
