"""Tell the stories in Arabic: gender in verbs and adjectives, the article, tanwin of the object, two as a dual."""
import re

from .tongue import Tongue, table
from .world import Animal, Kin, Person, Role, Thing

# word / gender [/ with the article, where that is not simply al- on each word [/ as an object, where irregular]]
WORDS = table("""
ball=كرة/f; kite=طائرة ورقية/f; doll=دمية/f; drum=طبل/m; boat=قارب خشبي/m; train=قطار خشبي/m; puzzle=أحجية/f
whistle=صفارة/f
flute=ناي/m/الناي/نايًا
hoop=طوق/m; marble=كرة زجاجية/f; top=دوامة/f; hat=قبعة/f; scarf=وشاح/m; coat=معطف/m; glove=قفاز/m
ring=خاتم/m
necklace=قلادة/f; ribbon=شريط/m; cap=طاقية/f; umbrella=مظلة/f; bag=حقيبة/f; belt=حزام/m; lantern=فانوس/m
basket=سلة/f
key=مفتاح/m; bucket=دلو/m; blanket=بطانية/f; cup=فنجان/m; bowl=زبدية/f; jar=جرة/f; candle=شمعة/f; spoon=ملعقة/f
book=كتاب/m
pencil=قلم/m; clock=ساعة/f; bell=جرس/m; mirror=مرآة/f; box=صندوق/m; feather=ريشة/f; shell=صدفة/f; stone=حجر/m
coin=قطعة نقدية/f; map=خريطة/f; button=زر/m/الزر/زرًّا
pancakes=فطائر محلاة/f; apple_pie=فطيرة تفاح/f/فطيرة التفاح; tomato_soup=حساء طماطم/m/حساء الطماطم/حساء طماطم
carrot_cake=كعكة جزر/f/كعكة الجزر; fish_stew=يخنة سمك/f/يخنة السمك
rice_pudding=أرز بالحليب/m/الأرز بالحليب/أرزًّا بالحليب
honey_bread=خبز بالعسل/m/الخبز بالعسل/خبزًا بالعسل; bean_soup=حساء فاصوليا/m/حساء الفاصوليا/حساء فاصوليا
cheese_tart=فطيرة جبن/f/فطيرة الجبن; plum_jam=مربى برقوق/m/مربى البرقوق/مربى برقوق
nut_biscuits=بسكويت بالجوز/m/البسكويت بالجوز/بسكويتًا بالجوز; lemon_cake=كعكة ليمون/f/كعكة الليمون
eggs=بيض/m; milk=حليب/m; flour=طحين/m; apples=تفاح/m; butter=زبدة/f; tomatoes=طماطم/f; onions=بصل/m
carrots=جزر/m
sugar=سكر/m; fish=سمك/m; potatoes=بطاطس/f; rice=أرز/m; honey=عسل/m; beans=فاصوليا/f; cheese=جبن/m; plums=برقوق/m
nuts=جوز/m; lemons=ليمون/m; cherries=كرز/m; strawberries=فراولة/f; oranges=برتقال/m; pears=إجاص/m
bread=خبز/m; apple=تفاحة/f; cake=كعك/m; soup=حساء/m; nut=جوزة/f; pear=إجاصة/f
cat=قطة/f; dog=كلب/m; rabbit=أرنب/m; parrot=ببغاء/m; hamster=هامستر/m/الهامستر/هامستر; tortoise=سلحفاة/f
pony=مهر/m
goat=عنزة/f; hen=دجاجة/f; mouse=فأر/m; hedgehog=قنفذ/m; lamb=حمل/m; kitten=قطة صغيرة/f; deer=غزال/m; duck=بطة/f
fox=ثعلب/m
sparrow=عصفور/m; owl=بومة/f; crow=غراب/m; goose=إوزة/f; swan=بجعة/f; puppy=جرو/m; squirrel=سنجاب/m
donkey=حمار/m
duckling=بطة صغيرة/f; calf=عجل/m; frog=ضفدع/m; blackbird=شحرور/m; snail=حلزون/m; bee=نحلة/f; pigeon=حمامة/f
butterfly=فراشة/f; dragonfly=يعسوب/m; gull=نورس/m; heron=بلشون/m; hare=أرنب بري/m; lark=قبرة/f
woodpecker=نقار خشب/m/نقار الخشب/نقار خشب; hawk=صقر/m; sheep=خروف/m; fly=ذبابة/f; spider=عنكبوت/m; bear=دب/m
wolf=ذئب/m
lion=أسد/m; ox=ثور/m; eagle=نسر/m; beetle=خنفساء/f; fishes=سمكة/f
sunflower=زهرة عباد شمس/f/زهرة عباد الشمس
pumpkin=نبتة يقطين/f; tulip=زهرة توليب/f; rose=شجيرة ورد/f; apple_tree=شجرة تفاح/f
snowman=رجل ثلج/m/رجل الثلج/رجل ثلج; raft=طوف/m; treehouse=بيت شجرة/m/بيت الشجرة/بيت شجرة
sandcastle=قلعة رملية/f; den=كوخ/m; birdhouse=بيت عصافير/m/بيت العصافير/بيت عصافير; dam=سد/m/السد/سدًّا; scarecrow=فزاعة/f
""")
TABLES = {"place": table("""
bedroom=غرفة النوم; kitchen=المطبخ; attic=العلية; garden=الحديقة; orchard=البستان; park=المنتزه
playground=الملعب
pond=البركة/عند البركة; school=المدرسة; library=المكتبة; market=السوق; station=المحطة; bridge=الجسر/عند الجسر
river=النهر/عند النهر; mill=الطاحونة; field=الحقل; barn=الحظيرة; wood=الغابة; hill=التل/على التل
"""), "spot": table("""
under_bed=تحت السرير; behind_curtain=خلف الستارة; under_pillow=تحت الوسادة; under_table=تحت الطاولة
behind_stove=خلف الموقد
on_shelf=على الرف; in_trunk=في الصندوق القديم; behind_chimney=خلف المدخنة; under_blanket=تحت بطانية مغبرة
under_rose_bush=تحت شجيرة الورد; behind_shed=خلف الكوخ الخشبي; by_wall=قرب الجدار
under_apple_tree=تحت أقدم شجرة تفاح
in_wheelbarrow=في عربة اليد; in_long_grass=بين الأعشاب الطويلة; under_bench=تحت مقعد
behind_oak=خلف شجرة البلوط الكبيرة
by_fountain=قرب النافورة; under_slide=تحت الزحلوقة; by_swings=قرب الأراجيح; in_sandpit=في صندوق الرمل
among_reeds=بين القصب; on_flat_stone=على حجر مسطح; by_jetty=قرب المرسى; under_desk=تحت أحد المقاعد
in_cloakroom=في غرفة المعاطف; behind_piano=خلف البيانو; between_books=بين صفين من الكتب; under_stairs=تحت الدرج
on_window_seat=على مقعد النافذة; under_stall=تحت بسطة فارغة; between_barrels=بين برميلين
beside_scales=بجانب الميزان
under_timetable=تحت جدول المواعيد; in_waiting_room=في غرفة الانتظار; on_platform=على الرصيف
under_arch=تحت القوس
beside_lamp=بجانب المصباح; on_railing=على السياج; under_willow=تحت الصفصافة; in_old_boat=في قارب قديم
among_stones=بين الحجارة; behind_sacks=خلف الأكياس; beside_wheel=بجانب العجلة الكبيرة; on_steps=على الدرجات
in_ditch=في الخندق; behind_haystack=خلف كومة القش; by_gate=قرب البوابة; in_hay=في القش; behind_ladder=خلف السلم
under_cart=تحت العربة; in_hollow_tree=في شجرة جوفاء; under_ferns=تحت السرخس; behind_log=خلف جذع شجرة
behind_rock=خلف صخرة; beside_bush=بجانب شجيرة; in_old_tower=في البرج القديم
"""), "job": table("""
pilot=طيار/طيارة; sailor=بحار/بحارة; dancer=راقص/راقصة; inventor=مخترع/مخترعة
baker=خباز/خبازة/عجن العجين/عجنت العجين
doctor=طبيب/طبيبة/أصغى إلى دقات قلب/أصغت إلى دقات قلب; vet=طبيب بيطري/طبيبة بيطرية
firefighter=رجل إطفاء/امرأة إطفاء
engineer=مهندس/مهندسة; clown=مهرج/مهرجة; farmer=مزارع/مزارعة/حلب بقرة/حلبت بقرة
carpenter=نجار/نجارة/نشر لوحًا/نشرت لوحًا
astronaut=رائد فضاء/رائدة فضاء; explorer=مستكشف/مستكشفة; singer=مغن/مغنية; writer=كاتب/كاتبة
librarian=أمين مكتبة/أمينة مكتبة/غلف كتابًا/غلفت كتابًا; clockmaker=ساعاتي/ساعاتية/ملأ ساعة/ملأت ساعة
gardener=بستاني/بستانية; diver=غواص/غواصة; painter=رسام/رسامة/مزج لونًا أخضر جديدًا/مزجت لونًا أخضر جديدًا
driver=سائق/سائقة; potter=خزاف/خزافة/شكل الطين/شكلت الطين; miller=طحان/طحانة/طحن القمح/طحنت القمح
scientist=عالم/عالمة; cook=طباخ/طباخة/قطع بصلة/قطعت بصلة; teacher=معلم/معلمة
musician=موسيقي/موسيقية/عزف لحنًا/عزفت لحنًا; nurse=ممرض/ممرضة/لف ضمادة/لفت ضمادة
tailor=خياط/خياطة/خاط زرًّا/خاطت زرًّا
beekeeper=نحال/نحالة/أخذ العسل من الخلية/أخذت العسل من الخلية; shoemaker=إسكافي/إسكافية/دق كعب حذاء/دقت كعب حذاء
blacksmith=حداد/حدادة/ثنى الحديد الحامي/ثنت الحديد الحامي; shopkeeper=بقال/بقالة/وزن الأرز/وزنت الأرز
postman=ساعي بريد/ساعية بريد/رتب الرسائل/رتبت الرسائل; fisherman=صياد سمك/صيادة سمك/رقع شبكة/رقعت شبكة
"""), "title": table("""
librarian=أمين المكتبة/أمينة المكتبة; postman=ساعي البريد/ساعية البريد; fisherman=صياد السمك/صيادة السمك
"""), "hobby": table("""
swimming=السباحة; fishing=صيد السمك; drawing=الرسم; chess=لعب الشطرنج; singing=الغناء
gardening=العمل في الحديقة
riding=ركوب الخيل; climbing=تسلق الأشجار; dancing=الرقص; cooking=الطبخ; reading=القراءة; skating=التزلج
football=لعب كرة القدم
"""), "colour": table("""
red=أحمر/حمراء; blue=أزرق/زرقاء; green=أخضر/خضراء; yellow=أصفر/صفراء; white=أبيض/بيضاء; black=أسود/سوداء
orange=برتقالي/برتقالية; purple=بنفسجي/بنفسجية
"""), "size": table("""
big=كبير/كبيرة; small=صغير/صغيرة; tiny=صغير جدًّا/صغيرة جدًّا; old=قديم/قديمة; new=جديد/جديدة
"""),
    "weekday": table("""
monday=الاثنين; tuesday=الثلاثاء; wednesday=الأربعاء; thursday=الخميس; friday=الجمعة; saturday=السبت
sunday=الأحد
"""),
    "time": table("""
morning=صباح/صباحًا/الصباح; afternoon=عصر/عصرًا/العصر; evening=مساء/مساءً/المساء
"""),
    "weather": table("""
sunny=كانت الشمس ساطعة/مشمس/مشمسًا; clear=كانت السماء صافية/هادئ/هادئًا
rainy=كان المطر يهطل على السطوح/ماطر/ماطرًا
windy=كانت الريح تهز الأشجار/عاصف/عاصفًا
snowy=كان الثلج يغطي السطوح/مثلج/مثلجًا; foggy=كان الضباب يلف البلدة/ضبابي/ضبابيًّا
cloudy=كانت الغيوم الرمادية تملأ السماء/غائم/غائمًا
warm=كان الهواء دافئًا/دافئ/دافئًا; cold=كان البرد شديدًا/بارد/باردًا
"""), "how": table("""
walk=مشى/مشت; run=ركض/ركضت; skip=ذهب/ذهبت/قافزًا/قافزة; hurry=أسرع/أسرعت
tiptoe=مشى/مشت/على أطراف أصابعه/على أطراف أصابعها
creep=تسلل/تسللت
"""), "doing": table("""
read=يقرأ كتابًا/تقرأ كتابًا; eat_apple=يأكل تفاحة/تأكل تفاحة; whistle=يصفر لحنًا/تصفر لحنًا
feed_birds=يطعم العصافير/تطعم العصافير; draw_map=يرسم خريطة/ترسم خريطة; rest=يستريح قليلًا/تستريح قليلًا
sweep=يكنس الأرض/تكنس الأرض
"""), "over": table("""
root=تعثر/تعثرت/بجذر/بجذر; stone=تعثر/تعثرت/بحجر/بحجر; mud=انزلق/انزلقت/في الطين/في الطين
laces=تعثر/تعثرت/برباط حذائه/برباط حذائها
"""),
    "part": table("""
carrot=جزرة; buttons=الأزرار; logs=جذوع الشجر; rope=حبلًا; boards=الألواح; nails=المسامير; bucket=دلوًا
shells=بعض الأصداف; branches=الأغصان; leaves=أوراقًا يابسة; paint=الطلاء; stones=الحجارة; mud=الطين; straw=القش
old_hat=قبعة قديمة
""")}
SHARED = {"bread": "قطعة خبز", "cheese": "قطعة جبن", "cake": "قطعة كعك", "plums": "كيس برقوق", "soup": "صحن حساء",
          "honey": "جرة عسل", "apple": "تفاحة كبيرة"}
KIN = {"mother": "والدة", "father": "والد", "grandmother": "جدة", "grandfather": "جد", "aunt": "عمة", "uncle": "عم"}
ROLES = {"teacher": ("المعلم", "المعلم"), "old man": ("رجل عجوز", "الرجل العجوز"),
         "old woman": ("امرأة عجوز", "المرأة العجوز")}
NAMES = dict(pair.split("=") for pair in """
Mila=ميلا Tom=توم Nora=نورا Ben=بن Martha=مارثا George=جورج Lucy=لوسي Sam=سام Ada=آدا Max=ماكس Helen=هيلين
Walter=والتر
Zara=زارا Leo=ليو Ruby=روبي Omar=عمر Grace=غريس Victor=فيكتور Ella=إيلا Finn=فين Ivy=آيفي Jack=جاك Olga=أولغا
Hassan=حسن Leila=ليلى Ravi=رافي Anna=آنا Paul=بول Ruth=روث Simon=سيمون Tara=تارا Hugo=هوغو Maya=مايا Karim=كريم
Fatima=فاطمة Arthur=آرثر Clara=كلارا Oscar=أوسكار Rosa=روزا Adam=آدم Irene=إيرين Robert=روبرت Hana=هناء Theo=ثيو
Dora=دورا
Felix=فيليكس Judith=جوديث Bruno=برونو Lily=ليلي Peter=بيتر Sofia=صوفيا David=داود Carmen=كارمن Edgar=إدغار
Emma=إيما
Noah=نوح Nina=نينا Ali=علي Agnes=أغنيس Martin=مارتن
Oakford=أوكفورد Millbrook=ميلبروك Redhill=ردهيل Stonebridge=ستونبريدج Fernley=فرنلي Larkton=لاركتون
Windham=ويندهام
Applewick=أبلويك Foxdale=فوكسديل Greenport=غرينبورت
Pip=بيب Rex=ريكس Dot=نقطة Turbo=توربو Pepper=فلفل Captain=قبطان Star=نجمة Clover=برسيم Button=زرور Biscuit=بسكوت
Smoky=دخان
Echo=صدى Scout=كشاف Snowy=ثلوج Inky=حبر Granny=نانا Tick=تكتك Daisy=أقحوان Wave=موج Berry=توتة Bramble=عليق
Misty=ضبابة
Thunder=رعد Newton=نيوتن Mango=مانجو Poppy=بوبي Whisper=همس Ginger=زنجبيل Velvet=مخمل Anchor=مرساة Bolt=برق
Cloud=غيمة
Nibble=نقنق Honey=عسولة Boots=جزمة Dancer=راقص Comet=شهاب Pearl=لؤلؤة Blaze=لهب Tango=تانغو Iron=حديد Shadow=ظل
Hop=نطاط
Bear=دبدوب Feather=ريشة Paprika=بابريكا Penny=قرش Peanut=فستق Rock=صخر Tulip=توليب Atom=ذرة Ribbon=شريطة
Letter=مكتوب
Coco=كوكو Shell=صدفة Moss=طحلب Breeze=نسيم Lemon=ليمونة Storm=عاصف
""".split())
# names that are Arabic words take tanwin as objects; foreign ones, and those of Omar, Adam and David, do not
TANWIN = set("""
حسن كريم نوح علي قبطان برسيم زرور كشاف ثلوج موج رعد همس برق راقص شهاب لهب نطاط دبدوب
قرش فستق مكتوب طحلب نسيم عاصف
""".split())
THREE_TO_TEN = "ثلاث أربع خمس ست سبع ثماني تسع عشر".split()
MASCULINE = {5: "خمسة", 6: "ستة", 7: "سبعة", 8: "ثمانية", 9: "تسعة", 10: "عشرة"}
POSSESSIVE = {"his": ("ه", "ها"), "my": ("ي", "ي"), "your": ("ك", "ك")}


class Arabic(Tongue):
    """Rules of Arabic: al-, the tanwin of an indefinite object, suffixed possessors."""

    language, words, tables = "arabic", WORDS, TABLES
    formats = {"adj": 1, "adjacc": 2, "acc": 1, "def": 2}
    first = {"": "a", "o": "acc"}

    @staticmethod
    def definite(words: str) -> str:
        """Put the article on each word."""
        return " ".join("ال" + word for word in words.split())

    @staticmethod
    def accusative(words: str) -> str:
        """Write the tanwin of an indefinite object: kitab -> kitaban; not after -a(t), -a' and in diptotes."""
        def one(word: str) -> str:
            if word.endswith(("ة", "اء", "ى", "ا", "ًّا", "ًا")) or re.fullmatch("أ(حمر|زرق|خضر|صفر|بيض|سود)", word):
                return word
            return word + ("ًّا" if word.endswith("ي") else "ًا")
        return " ".join(map(one, words.split()))

    @classmethod
    def owned(cls, words: str, owner: str) -> str:
        """Add the possessor's suffix: kura -> kuratuha."""
        first, *rest = words.split()
        first = first[:-1] + "ت" if first.endswith("ة") else first
        first = first[:-1] + "ئ" if first.endswith("اء") and owner == "ي" else first
        return " ".join([first + owner, *map(cls.definite, rest)])

    def noun(self, key: str, form: str) -> str:
        """Say a noun without a possessor."""
        word, _, *irregular = WORDS[key]
        match form:
            case "a" | "bare":
                return word
            case "acc":
                return irregular[1] if len(irregular) > 1 else word if self.gender(key) else self.accusative(word)
        return irregular[0] if irregular else self.definite(word)

    def named(self, name: str, form: str) -> str:
        """Write a name, as an object if asked: Ali -> Aliyyan."""
        return self.accusative(NAMES[name]) if form == "o" and NAMES[name] in TANWIN else NAMES[name]

    def title(self, person: Person) -> str:
        """Say what somebody is, with the article: the baker."""
        gender = self.gender(person)
        if person.job in TABLES["title"]:
            return TABLES["title"][person.job][gender]
        return self.definite(TABLES["job"][person.job][gender])

    def who(self, who, form, *, fresh, known, hero):
        match who:
            case Animal():
                mine = self.owned(WORDS[who.kind][0], "ي")  # asked for, or lost: always an object
                named = {"my": f"{mine} {self.named(who.name, 'o')}", "bare": WORDS[who.kind][0]}
                return named.get(form, NAMES[who.name])
            case Kin() if form == "full":
                named = f"{KIN[who.kind]} {NAMES[who.of.name]}"
            case Kin():
                named = self.owned(KIN[who.kind], POSSESSIVE["his"][self.gender(who.of)])
            case Role():
                named = ROLES[who.kind][known]
            case Person() if known or form == "name" or who == hero:
                named = self.named(who.name, form)
            case Person() if not who.is_child:
                named = f"{self.title(who)} {self.named(who.name, form)}"
            case Person() if hero and who.town == hero.town:
                friend = "صديقة" if self.gender(who) else "صديق"
                named = f"{self.owned(friend, POSSESSIVE['his'][self.gender(hero)])} {self.named(who.name, form)}"
            case _:
                named = self.named(who.name, form)
        return "" if fresh and not form else named

    def thing(self, thing: Thing, form, owner):
        if form in POSSESSIVE:
            return self.owned(WORDS[thing.kind][0], POSSESSIVE[form][self.gender(owner) % 2 if owner else 0])
        look = [TABLES["colour" if thing.colour else "size"][thing.colour or thing.size][self.gender(thing)]
                ] if thing.colour or thing.size else []
        match form:
            case "a":
                return " ".join([WORDS[thing.kind][0], *look])
            case "acc":
                return " ".join([self.noun(thing.kind, "acc"), *map(self.accusative, look)])
        return self.noun(thing.kind, form)

    def animal(self, kind, form, owner=None):
        key = "fishes" if kind == "fish" else kind
        if form in POSSESSIVE:
            return self.owned(WORDS[key][0], POSSESSIVE[form][self.gender(owner) % 2])
        return self.noun(key, form)

    def gender(self, value):
        return 1 if isinstance(value, Animal) and value.kind == "fish" else super().gender(value)

    def number(self, n, form):
        match form:
            case "age":
                return f"{THREE_TO_TEN[n - 3]} سنوات" if n <= 10 else "إحدى عشرة سنة"
            case "coin":
                return "قطعتين نقديتين" if n == 2 else f"{THREE_TO_TEN[n - 3]} قطع نقدية"
            case "h":
                return ("ساعة", "ساعتين", "ثلاث ساعات")[n - 1]
            case "day":
                return f"{MASCULINE[n]} أيام" if n <= 10 else ("أحد عشر يومًا" if n == 11 else "اثني عشر يومًا")
        return str(n).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))

    def listed(self, foods, form):
        if form == "or":
            return " ولا ".join(WORDS[food][0] for food in foods)
        return " و".join(self.definite(WORDS[food][0]) for food in foods)

    def inflected(self, kind, key, form, gender):
        forms, female = TABLES[kind][key], gender % 2
        match form:
            case "did":
                return forms[2 + female]
            case "adv":
                return forms[2 + female] if len(forms) > 2 else ""
            case "acc":
                first, *rest = forms[female].split()
                # in an idafa (a man of the post) only the first noun can be marked, and it never takes tanwin
                alone = not rest or rest[0] in ("بيطري", "بيطرية")
                return forms[female] if female or not alone else (
                    "مغنيًا" if key == "singer" else self.accusative(forms[0]))
        return forms[female]

    def word(self, kind, key, form):
        if kind == "place":
            where, *special = TABLES["place"][key]
            return {"in": special[0] if special else f"في {where}", "there": "هناك"}.get(form, where)
        if kind in ("food", "plant", "work"):
            if kind == "plant" and form == "fruit":
                return {"pumpkin": "يقطينة كبيرة", "apple_tree": "تفاحة"}[key]
            if form in ("a", "acc") and key in SHARED:
                return SHARED[key]
            return self.noun(key, form)
        if kind == "colour":
            return self.definite(TABLES[kind][key][0]) if form == "def" else TABLES[kind][key][0]
        if kind in ("town", "pet_name"):
            return self.named(key, form)
        return super().word(kind, key, form)

    def finish(self, text):
        text = text.replace("ى¬", "ت").replace("ه¬", "ته").replace("ل+ال", "لل").replace("+", "")
        return re.sub(r" +([،.؟!؛:»])", r"\1", re.sub(r" +", " ", text)).replace("\n ", "\n")


TONGUE = Arabic()
