"""Tell the stories in Hindi: gender, the oblique case, ने with its agreement, respect for elders."""
import re

from .tongue import Tongue, table
from .world import Animal, Kin, Person, Role, Thing

# word / gender [/ oblique, where it is not regular]
WORDS = table("""
ball=गेंद/f; kite=पतंग/f; doll=गुड़िया/f; drum=ढोल/m; boat=खिलौना नाव/f; train=खिलौना रेलगाड़ी/f; puzzle=चित्र-पहेली/f
whistle=सीटी/f
flute=बाँसुरी/f; hoop=चक्का/m; marble=कंचा/m; top=लट्टू/m; hat=टोप/m; scarf=मफ़लर/m; coat=कोट/m; glove=दस्ताना/m
ring=अँगूठी/f
necklace=हार/m; ribbon=फ़ीता/m; cap=टोपी/f; umbrella=छाता/m; bag=थैला/m; belt=पेटी/f; lantern=लालटेन/f
basket=टोकरी/f; key=चाबी/f
bucket=बाल्टी/f; blanket=कंबल/m; cup=प्याला/m; bowl=कटोरा/m; jar=मर्तबान/m; candle=मोमबत्ती/f; spoon=चम्मच/m
book=किताब/f
pencil=पेंसिल/f; clock=घड़ी/f; bell=घंटी/f; mirror=आईना/m; box=डिब्बा/m; feather=पंख/m; shell=सीपी/f
stone=पत्थर/m
coin=सिक्का/m; map=नक़्शा/m; button=बटन/m
pancakes=मीठे चीले/mp/मीठे चीलों; apple_pie=सेब की पाई/f; tomato_soup=टमाटर का सूप/m/टमाटर के सूप
carrot_cake=गाजर का केक/m/गाजर के केक
fish_stew=मछली का शोरबा/m/मछली के शोरबे; rice_pudding=खीर/f; honey_bread=शहद वाली रोटी/f
bean_soup=राजमा का सूप/m/राजमा के सूप
cheese_tart=पनीर का टार्ट/m/पनीर के टार्ट; plum_jam=आलूबुखारे का मुरब्बा/m/आलूबुखारे के मुरब्बे
nut_biscuits=अखरोट के बिस्कुट/mp/अखरोट के बिस्कुटों; lemon_cake=नींबू का केक/m/नींबू के केक
eggs=अंडे/mp; milk=दूध/m; flour=आटा/m; apples=सेब/mp/सेबों; butter=मक्खन/m; tomatoes=टमाटर/mp; onions=प्याज़/mp
carrots=गाजर/fp
sugar=चीनी/f; fish=मछली/f; potatoes=आलू/mp; rice=चावल/mp; honey=शहद/m; beans=राजमा/m; cheese=पनीर/m
plums=आलूबुखारे/mp/आलूबुखारों; nuts=अखरोट/mp; lemons=नींबू/mp; cherries=चेरी/f; strawberries=स्ट्रॉबेरी/f
oranges=संतरे/mp/संतरों
pears=नाशपाती/f; bread=रोटी/f; apple=सेब/m; cake=केक/m; soup=सूप/m; nut=अखरोट/m; pear=नाशपाती/f
cat=बिल्ली/f; dog=कुत्ता/m; rabbit=ख़रगोश/m; parrot=तोता/m; hamster=हैम्स्टर/m; tortoise=कछुआ/m/कछुए
pony=टट्टू/m; goat=बकरी/f
hen=मुर्ग़ी/f; mouse=चूहा/m; hedgehog=काँटाचूहा/m; lamb=मेमना/m; kitten=बिल्ली का बच्चा/m/बिल्ली के बच्चे
deer=हिरन/m; duck=बत्तख/f
fox=लोमड़ी/f; sparrow=गौरैया/f; owl=उल्लू/m; crow=कौआ/m/कौए; goose=कलहंस/m; swan=हंस/m; puppy=पिल्ला/m
squirrel=गिलहरी/f
donkey=गधा/m; duckling=बत्तख का बच्चा/m/बत्तख के बच्चे; calf=बछड़ा/m; frog=मेंढक/m; blackbird=कस्तूरा/m
snail=घोंघा/m; bee=मधुमक्खी/f
pigeon=कबूतर/m; butterfly=तितली/f; dragonfly=व्याध पतंग/m; gull=समुद्री चिड़िया/f; heron=बगुला/m; hare=जंगली ख़रगोश/m
lark=चंडूल/m
woodpecker=कठफोड़वा/m/कठफोड़वे; hawk=बाज़/m; sheep=भेड़/f; fly=मक्खी/f; spider=मकड़ी/f; bear=भालू/m
wolf=भेड़िया/m/भेड़िए; lion=शेर/m
ox=बैल/m; eagle=उक़ाब/m; beetle=गुबरैला/m
sunflower=सूरजमुखी/m; pumpkin=कद्दू की बेल/f; tulip=ट्यूलिप/m; rose=गुलाब/m; apple_tree=सेब का पेड़/m
snowman=बर्फ़ का पुतला/m/बर्फ़ के पुतले; raft=बेड़ा/m; treehouse=मचान/m
sandcastle=रेत का क़िला/m/रेत के क़िले
den=झोंपड़ी/f; birdhouse=चिड़ियों का घर/m/चिड़ियों के घर; dam=बाँध/m; scarecrow=बिजूका/m
""")
TABLES = {"place": table("""
bedroom=शयनकक्ष/में; kitchen=रसोई/में; attic=अटारी/में; garden=बग़ीचे/में; orchard=फलों के बाग़/में
park=पार्क/में
playground=खेल के मैदान/में; pond=तालाब/के किनारे; school=स्कूल/में/; library=पुस्तकालय/में/; market=बाज़ार/में/
station=स्टेशन/पर
bridge=पुल/पर; river=नदी/के किनारे; mill=चक्की/पर; field=खेत/में; barn=खलिहान/में; wood=जंगल/में; hill=पहाड़ी/पर
"""), "spot": table("""
under_bed=पलंग के नीचे; behind_curtain=परदे के पीछे; under_pillow=तकिए के नीचे; under_table=मेज़ के नीचे
behind_stove=चूल्हे के पीछे
on_shelf=ताक़ पर; in_trunk=पुराने ट्रंक में; behind_chimney=चिमनी के पीछे; under_blanket=धूल भरे कंबल के नीचे
under_rose_bush=गुलाब की झाड़ी के नीचे; behind_shed=छप्पर के पीछे; by_wall=दीवार के पास
under_apple_tree=सबसे पुराने सेब के पेड़ के नीचे
in_wheelbarrow=ठेले में; in_long_grass=लंबी घास में; under_bench=बेंच के नीचे; behind_oak=बड़े बलूत के पीछे
by_fountain=फ़व्वारे के पास
under_slide=फिसलपट्टी के नीचे; by_swings=झूलों के पास; in_sandpit=रेत के गड्ढे में; among_reeds=सरकंडों के बीच
on_flat_stone=एक चपटे पत्थर पर; by_jetty=घाट के पास; under_desk=डेस्क के नीचे; in_cloakroom=कोट वाले कमरे में
behind_piano=पियानो के पीछे; between_books=किताबों की दो क़तारों के बीच; under_stairs=सीढ़ियों के नीचे
on_window_seat=खिड़की की चौकी पर
under_stall=एक ख़ाली ठेले के नीचे; between_barrels=दो पीपों के बीच; beside_scales=तराज़ू के पास
under_timetable=समय-सारणी के नीचे
in_waiting_room=प्रतीक्षालय में; on_platform=प्लेटफ़ॉर्म पर; under_arch=मेहराब के नीचे; beside_lamp=बत्ती के खंभे के पास
on_railing=रेलिंग पर
under_willow=बेद के पेड़ के नीचे; in_old_boat=एक पुरानी नाव में; among_stones=पत्थरों के बीच
behind_sacks=बोरियों के पीछे
beside_wheel=बड़े पहिए के पास; on_steps=सीढ़ियों पर; in_ditch=खाई में; behind_haystack=पुआल के ढेर के पीछे
by_gate=फाटक के पास
in_hay=सूखी घास में; behind_ladder=नसैनी के पीछे; under_cart=बैलगाड़ी के नीचे; in_hollow_tree=एक खोखले पेड़ में
under_ferns=फ़र्न के नीचे; behind_log=लट्ठे के पीछे; behind_rock=चट्टान के पीछे; beside_bush=झाड़ी के पास
in_old_tower=पुरानी मीनार में
"""), "job": table("""
pilot=पायलट/पायलट; sailor=नाविक/नाविक; dancer=नर्तक/नर्तकी; inventor=आविष्कारक/आविष्कारक
baker=नानबाई/नानबाई/आटा गूँधा/आटा गूँधना
doctor=डॉक्टर/डॉक्टर/दिल की धड़कन सुनी/दिल की धड़कन सुनना; vet=पशु-चिकित्सक/पशु-चिकित्सक
firefighter=दमकलकर्मी/दमकलकर्मी
engineer=इंजीनियर/इंजीनियर; clown=जोकर/जोकर; farmer=किसान/किसान/गाय दुही/गाय दुहना
carpenter=बढ़ई/बढ़ई/तख़्ता चीरा/तख़्ता चीरना
astronaut=अंतरिक्ष-यात्री/अंतरिक्ष-यात्री; explorer=खोजी/खोजी; singer=गायक/गायिका; writer=लेखक/लेखिका
librarian=पुस्तकालयाध्यक्ष/पुस्तकालयाध्यक्ष/किताब पर नई जिल्द चढ़ाई/किताब पर जिल्द चढ़ाना
clockmaker=घड़ीसाज़/घड़ीसाज़/घड़ी में चाबी भरी/घड़ी में चाबी भरना; gardener=माली/मालिन; diver=गोताख़ोर/गोताख़ोर
painter=चित्रकार/चित्रकार/नया हरा रंग घोला/नया हरा रंग घोलना; driver=ड्राइवर/ड्राइवर
potter=कुम्हार/कुम्हारिन/मिट्टी को आकार दिया/मिट्टी को आकार देना
miller=चक्की वाले/चक्की वाली/गेहूँ पीसा/गेहूँ पीसना; scientist=वैज्ञानिक/वैज्ञानिक
cook=रसोइया/रसोइया/प्याज़ काटा/प्याज़ काटना
teacher=अध्यापक/अध्यापिका; musician=संगीतकार/संगीतकार/एक धुन बजाई/धुन बजाना
nurse=नर्स/नर्स/पट्टी बाँधी/पट्टी बाँधना
tailor=दर्ज़ी/दर्ज़िन/बटन टाँका/बटन टाँकना
beekeeper=मधुमक्खी-पालक/मधुमक्खी-पालक/छत्ते से शहद निकाला/छत्ते से शहद निकालना
shoemaker=मोची/मोची/जूते की एड़ी ठोकी/जूते की एड़ी ठोकना
blacksmith=लुहार/लुहारिन/गरम लोहा मोड़ा/गरम लोहा मोड़ना
shopkeeper=दुकानदार/दुकानदार/चावल तौले/चावल तौलना; postman=डाकिया/डाकिया/चिट्ठियाँ छाँटीं/चिट्ठियाँ छाँटना
fisherman=मछुआरे/मछुआरिन/जाल की मरम्मत की/जाल की मरम्मत करना
"""), "hobby": table("""
swimming=तैरना/तैरने; fishing=मछली पकड़ना/मछली पकड़ने; drawing=चित्र बनाना/चित्र बनाने
chess=शतरंज खेलना/शतरंज खेलने; singing=गाना/गाने
gardening=बाग़बानी करना/बाग़बानी करने; riding=घुड़सवारी करना/घुड़सवारी करने
climbing=पेड़ों पर चढ़ना/पेड़ों पर चढ़ने; dancing=नाचना/नाचने
cooking=खाना पकाना/खाना पकाने; reading=किताबें पढ़ना/किताबें पढ़ने; skating=स्केटिंग करना/स्केटिंग करने
football=फ़ुटबॉल खेलना/फ़ुटबॉल खेलने
"""), "colour": table("""
red=लाल/लाल/लाल; blue=नीला/नीली/नीले; green=हरा/हरी/हरे; yellow=पीला/पीली/पीले; white=सफ़ेद/सफ़ेद/सफ़ेद
black=काला/काली/काले
orange=नारंगी/नारंगी/नारंगी; purple=बैंगनी/बैंगनी/बैंगनी
"""), "size": table("""
big=बड़ा/बड़ी; small=छोटा/छोटी; tiny=नन्हा/नन्ही; old=पुराना/पुरानी; new=नया/नई
"""),
    "weekday": table("""
monday=सोमवार; tuesday=मंगलवार; wednesday=बुधवार; thursday=गुरुवार; friday=शुक्रवार; saturday=शनिवार
sunday=रविवार
"""),
    "time": table("""
morning=सुबह; afternoon=दोपहर; evening=शाम
"""),
    "weather": table("""
sunny=धूप खिली थी/धूप भरी; clear=आसमान साफ़ था/सुहानी; rainy=छतों पर पानी बरस रहा था/बरसाती
windy=हवा पेड़ों को झकझोर रही थी/तेज़ हवा वाली
snowy=छतों पर बर्फ़ जमी थी/बर्फ़ीली; foggy=पूरे क़स्बे पर कोहरा छाया था/कोहरे भरी
cloudy=आसमान में बादल घिरे थे/बादलों वाली
warm=हवा गुनगुनी थी/गुनगुनी; cold=कड़ाके की ठंड थी/ठंडी
"""), "how": table("""
walk=पैदल; run=दौड़ते हुए; skip=उछलते-कूदते; hurry=जल्दी-जल्दी; tiptoe=पंजों के बल; creep=दबे पाँव
"""),
    "doing": table("""
read=किताब पढ़ रहा था/किताब पढ़ रही थी/किताब पढ़ रहे थे/किताब पढ़ रही थीं
eat_apple=सेब खा रहा था/सेब खा रही थी/सेब खा रहे थे/सेब खा रही थीं
whistle=सीटी बजा रहा था/सीटी बजा रही थी/सीटी बजा रहे थे/सीटी बजा रही थीं
feed_birds=चिड़ियों को दाना डाल रहा था/चिड़ियों को दाना डाल रही थी/चिड़ियों को दाना डाल रहे थे/चिड़ियों को दाना डाल रही थीं
draw_map=नक़्शा बना रहा था/नक़्शा बना रही थी/नक़्शा बना रहे थे/नक़्शा बना रही थीं
rest=सुस्ता रहा था/सुस्ता रही थी/सुस्ता रहे थे/सुस्ता रही थीं
sweep=झाड़ू लगा रहा था/झाड़ू लगा रही थी/झाड़ू लगा रहे थे/झाड़ू लगा रही थीं
"""), "over": table("""
root=जड़ से ठोकर खाकर; stone=पत्थर से ठोकर खाकर; mud=कीचड़ में फिसलकर; laces=फ़ीतों में उलझकर
"""),
    "part": table("""
carrot=एक गाजर; buttons=बटन; logs=लट्ठे; rope=रस्सी; boards=तख़्ते; nails=कीलें; bucket=एक छोटी बाल्टी
shells=कुछ सीपियाँ; branches=टहनियाँ; leaves=सूखे पत्ते; paint=रंग; stones=पत्थर; mud=गारा; straw=पुआल
old_hat=एक पुराना टोप
""")}
SHARED = {
    "bread": "एक रोटी", "cheese": "पनीर का एक टुकड़ा", "cake": "केक का एक टुकड़ा",
    "plums": "कुछ आलूबुखारे", "soup": "एक कटोरा सूप", "honey": "थोड़ा शहद",
}
KIN = {
    "mother": "माँ", "father": "पिताजी", "grandmother": "दादी",
    "grandfather": "दादाजी", "aunt": "मौसी", "uncle": "चाचाजी",
}
ROLES = {
    "teacher": ("अध्यापक", "अध्यापक"),
    "old man": ("एक बूढ़े बाबा", "बूढ़े बाबा"),
    "old woman": ("एक बूढ़ी अम्मा", "बूढ़ी अम्मा"),
}
NAMES = dict(pair.split("=") for pair in """
Mila=मीला Tom=टॉम Nora=नोरा Ben=बेन Martha=मार्था George=जॉर्ज Lucy=लूसी Sam=सैम Ada=एडा Max=मैक्स Helen=हेलेन
Walter=वॉल्टर
Zara=ज़ारा Leo=लियो Ruby=रूबी Omar=उमर Grace=ग्रेस Victor=विक्टर Ella=एला Finn=फ़िन Ivy=आइवी Jack=जैक Olga=ओल्गा
Hassan=हसन Leila=लैला Ravi=रवि Anna=आना Paul=पॉल Ruth=रूथ Simon=साइमन Tara=तारा Hugo=ह्यूगो Maya=माया Karim=करीम
Fatima=फ़ातिमा Arthur=आर्थर Clara=क्लारा Oscar=ऑस्कर Rosa=रोज़ा Adam=एडम Irene=आइरीन Robert=रॉबर्ट Hana=हाना
Theo=थियो Dora=डोरा
Felix=फ़ेलिक्स Judith=जूडिथ Bruno=ब्रूनो Lily=लिली Peter=पीटर Sofia=सोफ़िया David=डेविड Carmen=कारमेन Edgar=एडगर
Emma=एमा
Noah=नोआ Nina=नीना Ali=अली Agnes=ऐग्नेस Martin=मार्टिन
Oakford=ओकफ़ोर्ड Millbrook=मिलब्रुक Redhill=रेडहिल Stonebridge=स्टोनब्रिज Fernley=फ़र्नली Larkton=लार्कटन
Windham=विंडम
Applewick=ऐपलविक Foxdale=फ़ॉक्सडेल Greenport=ग्रीनपोर्ट
Pip=पिप Rex=रेक्स Dot=बिंदी Turbo=टर्बो Pepper=मिर्ची Captain=कप्तान Star=सितारा Clover=क्लोवर Button=बटन
Biscuit=बिस्कुट
Smoky=धुआँ Echo=गूँज Scout=स्काउट Snowy=बर्फ़ी Inky=स्याही Granny=नानी Tick=टिकटिक Daisy=डेज़ी Wave=लहर
Berry=बेरी Bramble=काँटा
Misty=मिस्टी Thunder=बिजली Newton=न्यूटन Mango=मैंगो Poppy=पॉपी Whisper=फुसफुस Ginger=अदरक Velvet=मख़मल
Anchor=लंगर Bolt=बोल्ट
Cloud=बादल Nibble=कुतरू Honey=हनी Boots=बूट Dancer=डांसर Comet=धूमकेतु Pearl=मोती Blaze=शोला Tango=टैंगो
Iron=लोहा Shadow=शैडो
Hop=फुदकू Bear=भालू Feather=फ़ेदर Paprika=पपरिका Penny=पेनी Peanut=मूँगफली Rock=रॉकी Tulip=ट्यूलिप Atom=एटम
Ribbon=रिबन
Letter=लेटर Coco=कोको Shell=सीपी Moss=मॉसी Breeze=पवन Lemon=लेमन Storm=तूफ़ान
""".split())
NUMBERS = ("शून्य एक दो तीन चार पाँच छह सात आठ नौ दस ग्यारह बारह").split()
TENS = {20: "बीस", 30: "तीस", 50: "पचास", 100: "सौ"}
PRONOUNS = {
    "": ("वह", "वे"), "ne": ("उसने", "उन्होंने"), "ko": ("उसे", "उन्हें"),
    "ka": ("उसका", "उनका"), "ki": ("उसकी", "उनकी"), "ke": ("उसके", "उनके"),
    "se": ("उससे", "उनसे"),
}
POSTPOSITIONS = {"ne": "ने", "ko": "को", "ka": "का", "ki": "की", "ke": "के", "se": "से"}


def one(noun: str) -> str:
    """Put "one" before the noun itself: बर्फ़ का एक पुतला."""
    return re.sub("^(.* (?:का|की) )?", r"\1एक ", noun)


class Hindi(Tongue):
    """Rules of Hindi: elders are spoken of in the plural, masculine nouns in -aa bend to -e before postpositions."""

    language, words, tables = "hindi", WORDS, TABLES
    formats = {"adj": 1, "obl": 1, "did": 2, "inf": 3}
    first = {"": "a", "o": "a"}

    def gender(self, value):
        if isinstance(value, Kin | Role) or (isinstance(value, Person) and not value.is_child):
            return 2 + (value.gender == "f")
        return super().gender(value)

    @staticmethod
    def oblique(key: str) -> str:
        """Say a noun as it stands before a postposition."""
        word, gender, *irregular = WORDS[key]
        return irregular[0] if irregular else re.sub("ा$", "े", word) if gender == "m" else word

    def who(self, who, form, *, fresh, known, hero):
        form, steady = form.removeprefix("s_"), form.startswith("s")
        form = "" if form == "s" else form
        match who:
            case Animal() if form in ("obl", "bare"):
                return self.oblique(who.kind) if form == "obl" else WORDS[who.kind][0]
            case Animal():
                return (f"{WORDS[who.kind][0]} " if form == "my" else "") + NAMES[who.name]
            case Kin():
                named = KIN[who.kind]
            case Role():
                named = ROLES[who.kind][known]
            case Person() if known or form == "name" or who == hero:
                named = NAMES[who.name]
            case Person() if not who.is_child:
                job = TABLES["job"][who.job][self.gender(who) % 2]
                named = f"{job} {NAMES[who.name]}"
            case Person() if hero and who.town == hero.town:
                named = f"{self.friend(who, form, hero)} {NAMES[who.name]}"
            case _:
                named = NAMES[who.name]
        if fresh and not steady and form in PRONOUNS:
            return PRONOUNS[form][self.gender(who) > 1]
        return f"{named} {POSTPOSITIONS[form]}" if form in POSTPOSITIONS else named

    def friend(self, who: Person, form: str, hero: Person) -> str:
        """Say whose friend that is; to him and with him is told of the hero, so that it is his own friend."""
        stem = "अपन" if form in ("ko", "se", "with", "own") else "उसक" if hero.is_child else "उनक"
        ending = "ी" if who.gender == "f" else "ा" if form in ("", "own") else "े"
        return f"{stem}{ending} {'सहेली' if who.gender == hero.gender == 'f' else 'दोस्त'}"

    def thing(self, thing: Thing, form, owner):
        look = [TABLES["colour" if thing.colour else "size"][thing.colour or thing.size][self.gender(thing)]
                ] if thing.colour or thing.size else []
        match form:
            case "a":
                return " ".join(["एक", *look, WORDS[thing.kind][0]])
            case "obl":
                return self.oblique(thing.kind)
        return WORDS[thing.kind][0]

    def animal(self, kind, form, owner=None):
        return self.oblique(kind) if form == "obl" else one(WORDS[kind][0]) if form == "a" else WORDS[kind][0]

    def number(self, n, form):
        word = NUMBERS[n] if n < 13 else TENS[n]
        match form:
            case "h":
                return f"{word} घंटा" if n == 1 else f"{word} घंटे"
            case "lage":
                return f"{word} घंटा लगा" if n == 1 else f"{word} घंटे लगे"
        return word

    def listed(self, foods, form):
        words = [WORDS[food][0] for food in foods]
        last = "या" if form == "or" else "और"
        return ", ".join(words[:-1]) + f" {last} {words[-1]}" if len(words) > 1 else words[0]

    def inflected(self, kind, key, form, gender):
        forms = TABLES[kind][key]
        if kind == "doing":
            return forms[gender]
        return super().inflected(kind, key, form, gender)

    def word(self, kind, key, form):
        if kind == "place":
            noun, post, *bare = TABLES["place"][key]
            match form:
                case "there":
                    return "वहीं"
                case "in":
                    return f"{noun} {post}"
                case "to":
                    return noun if bare else f"{noun} {post}"
                case "inside":
                    return f"{noun} में"
                case "from" | "tak":
                    return f"{noun} " + ("से" if form == "from" else "तक")
            return noun
        if kind in ("food", "plant", "work"):
            match form:
                case "obl":
                    return self.oblique(key)
                case "eat":  # soup is drunk
                    return "पी" if key in ("tomato_soup", "bean_soup", "fish_stew") else "खा"
                case "fruit":
                    return {"pumpkin": "एक बड़ा कद्दू", "apple_tree": "एक सेब"}[key]
                case "a":
                    return SHARED[key] if key in SHARED else WORDS[key][0] if kind == "food" and key not in (
                        "apple", "nut", "pear") else one(WORDS[key][0])
            return WORDS[key][0]
        if kind == "colour":
            return TABLES[kind][key][2 if form == "obl" else 0]
        if kind in ("town", "pet_name"):
            return NAMES[key]
        return super().word(kind, key, form)

    def finish(self, text):
        return re.sub(r" +([,।?!])", r"\1", re.sub(r" +", " ", text)).replace("\n ", "\n")


TONGUE = Hindi()
