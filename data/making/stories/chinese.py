"""Tell the stories in Chinese: measure words, names in characters, no spaces."""
import re

from .tongue import Tongue, table
from .world import Animal, Kin, Person, Role, Thing

WORDS = table("""
ball=球/个; kite=风筝/只; doll=布娃娃/个; drum=鼓/面; boat=玩具船/条; train=玩具火车/列; puzzle=拼图/副
whistle=哨子/个
flute=笛子/支; hoop=铁环/个; marble=玻璃弹珠/颗; top=陀螺/个; hat=帽子/顶; scarf=围巾/条; coat=外套/件
glove=手套/只
ring=戒指/枚; necklace=项链/条; ribbon=丝带/条; cap=便帽/顶; umbrella=雨伞/把; bag=背包/个; belt=腰带/条
lantern=灯笼/盏
basket=篮子/个; key=钥匙/把; bucket=水桶/个; blanket=毯子/条; cup=杯子/个; bowl=碗/个; jar=玻璃罐/个
candle=蜡烛/支
spoon=勺子/把; book=书/本; pencil=铅笔/支; clock=闹钟/个; bell=铃铛/个; mirror=镜子/面; box=木盒子/个
feather=羽毛/根
shell=贝壳/个; stone=石头/块; coin=硬币/枚; map=地图/张; button=扣子/颗
pancakes=煎饼/盘; apple_pie=苹果派/个; tomato_soup=番茄汤/锅; carrot_cake=胡萝卜蛋糕/个; fish_stew=炖鱼/锅
rice_pudding=米布丁/碗
honey_bread=蜂蜜面包/个; bean_soup=豆子汤/锅; cheese_tart=奶酪挞/个; plum_jam=李子酱/罐
nut_biscuits=坚果饼干/盘
lemon_cake=柠檬蛋糕/个; eggs=鸡蛋/些; milk=牛奶/瓶; flour=面粉/袋; apples=苹果/些; butter=黄油/块
tomatoes=番茄/些
onions=洋葱/些; carrots=胡萝卜/些; sugar=糖/袋; fish=鱼/条; potatoes=土豆/些; rice=大米/袋; honey=蜂蜜/罐
beans=豆子/袋
cheese=奶酪/块; plums=李子/袋; nuts=坚果/袋; lemons=柠檬/些; cherries=樱桃/盘; strawberries=草莓/盘
oranges=橙子/袋
pears=梨/袋; bread=面包/个; apple=苹果/个; cake=蛋糕/块; soup=汤/碗; nut=核桃/颗; pear=梨/个
cat=猫/只; dog=狗/只; rabbit=兔子/只; parrot=鹦鹉/只; hamster=仓鼠/只; tortoise=乌龟/只; pony=小马/匹
goat=山羊/只; hen=母鸡/只
mouse=老鼠/只; hedgehog=刺猬/只; lamb=小羊/只; kitten=小猫/只; deer=小鹿/只; duck=鸭子/只; fox=狐狸/只
sparrow=麻雀/只
owl=猫头鹰/只; crow=乌鸦/只; goose=鹅/只; swan=天鹅/只; puppy=小狗/只; squirrel=松鼠/只; donkey=毛驴/头
duckling=小鸭子/只
calf=小牛/头; frog=青蛙/只; blackbird=乌鸫/只; snail=蜗牛/只; bee=蜜蜂/只; pigeon=鸽子/只; butterfly=蝴蝶/只
dragonfly=蜻蜓/只
gull=海鸥/只; heron=苍鹭/只; hare=野兔/只; lark=云雀/只; woodpecker=啄木鸟/只; hawk=老鹰/只; sheep=绵羊/只
fly=苍蝇/只
spider=蜘蛛/只; bear=熊/头; wolf=狼/只; lion=狮子/头; ox=牛/头; eagle=鹰/只; beetle=甲虫/只
sunflower=向日葵/棵; pumpkin=南瓜/棵; tulip=郁金香/株; rose=玫瑰/株; apple_tree=苹果树/棵
snowman=雪人/个/堆一个雪人; raft=木筏/只/造一只木筏; treehouse=树屋/座/搭一座树屋; sandcastle=沙堡/座/堆一座沙堡
den=小窝棚/个/搭一个小窝棚; birdhouse=鸟屋/个/做一个鸟屋; dam=水坝/道/筑一道水坝
scarecrow=稻草人/个/扎一个稻草人
""")
TABLES = {"place": table("""
bedroom=卧室/在卧室里; kitchen=厨房/在厨房里; attic=阁楼/在阁楼上; garden=花园/在花园里; orchard=果园/在果园里
park=公园/在公园里
playground=操场/在操场上; pond=池塘边/在池塘边; school=学校/在学校里; library=图书馆/在图书馆里
market=集市/在集市上
station=车站/在车站; bridge=桥头/在桥头; river=河边/在河边; mill=磨坊/在磨坊里; field=田野/在田野里/田野里
barn=谷仓/在谷仓里
wood=树林/在树林里; hill=小山/在小山上/小山上
"""), "spot": table("""
under_bed=床底下; behind_curtain=窗帘后面; under_pillow=枕头底下; under_table=桌子底下; behind_stove=炉子后面
on_shelf=架子上
in_trunk=旧箱子里; behind_chimney=烟囱后面; under_blanket=落满灰尘的毯子底下; under_rose_bush=玫瑰丛下
behind_shed=棚屋后面
by_wall=墙边; under_apple_tree=最老的苹果树下; in_wheelbarrow=手推车里; in_long_grass=高高的草丛里
under_bench=长凳底下
behind_oak=大橡树后面; by_fountain=喷泉边; under_slide=滑梯下面; by_swings=秋千旁边; in_sandpit=沙坑里
among_reeds=芦苇丛里
on_flat_stone=一块平石头上; by_jetty=小码头边; under_desk=课桌底下; in_cloakroom=衣帽间里; behind_piano=钢琴后面
between_books=两排书中间; under_stairs=楼梯底下; on_window_seat=窗台上; under_stall=空货摊底下
between_barrels=两个木桶中间
beside_scales=大秤旁边; under_timetable=时刻表下面; in_waiting_room=候车室里; on_platform=站台上
under_arch=桥拱下面
beside_lamp=路灯旁边; on_railing=栏杆上; under_willow=柳树下; in_old_boat=一条旧船里; among_stones=石头堆里
behind_sacks=麻袋后面
beside_wheel=大水轮旁边; on_steps=台阶上; in_ditch=水沟里; behind_haystack=草垛后面; by_gate=栅栏门边
in_hay=干草堆里
behind_ladder=梯子后面; under_cart=大车底下; in_hollow_tree=空心树里; under_ferns=蕨草下面; behind_log=木头后面
behind_rock=岩石后面; beside_bush=灌木旁边; in_old_tower=旧塔里
"""), "job": table("""
pilot=飞行员; sailor=水手; dancer=舞蹈家; inventor=发明家; baker=面包师/揉面; doctor=医生/听病人的心跳; vet=兽医
firefighter=消防员
engineer=工程师; clown=小丑; farmer=农夫/挤牛奶; carpenter=木匠/锯木板; astronaut=宇航员; explorer=探险家
singer=歌手; writer=作家
librarian=图书管理员/包书皮; clockmaker=钟表匠/给钟上发条; gardener=园丁; diver=潜水员
painter=画家/调一种新的绿色
driver=司机; potter=陶匠/捏陶土; miller=磨坊主/磨麦子; scientist=科学家; cook=厨师/切洋葱; teacher=老师
musician=乐师/拉曲子
nurse=护士/包扎伤口; tailor=裁缝/缝扣子; beekeeper=养蜂人/从蜂箱里取蜜; shoemaker=鞋匠/钉鞋跟
blacksmith=铁匠/弯烧红的铁
shopkeeper=店主/称大米; postman=邮递员/分信; fisherman=渔夫/补渔网
"""), "hobby": table("""
swimming=游泳; fishing=钓鱼; drawing=画画; chess=下棋; singing=唱歌; gardening=种花; riding=骑马; climbing=爬树
dancing=跳舞
cooking=做饭; reading=看书; skating=滑冰; football=踢足球
"""), "colour": table("""
red=红色; blue=蓝色; green=绿色; yellow=黄色; white=白色; black=黑色; orange=橙色; purple=紫色
"""),
    "size": table("""
big=大; small=小; tiny=小小的; old=旧; new=新
"""),
    "weekday": table("""
monday=星期一; tuesday=星期二; wednesday=星期三; thursday=星期四; friday=星期五; saturday=星期六; sunday=星期天
"""),
    "time": table("""
morning=早上; afternoon=下午; evening=晚上
"""),
    "weather": table("""
sunny=阳光灿烂/晴朗; clear=天上一丝云也没有/晴朗; rainy=雨点打在屋顶上/下雨; windy=风吹得树枝直摇/刮风
snowy=屋顶上盖着白雪/下雪
foggy=雾笼罩着小镇/有雾
cloudy=天上布满了灰云/多云; warm=空气暖洋洋的/暖和; cold=天冷得厉害/寒冷
"""), "how": table("""
walk=走到了; run=跑到了; skip=蹦蹦跳跳地来到了; hurry=急急忙忙赶到了; tiptoe=踮着脚尖走到了; creep=悄悄溜到了
"""),
    "doing": table("""
read=看书; eat_apple=吃苹果; whistle=吹口哨; feed_birds=喂鸟; draw_map=画地图; rest=歇着; sweep=扫地
"""),
    "over": table("""
root=被树根绊倒了; stone=被石头绊倒了; mud=在泥里滑倒了; laces=踩着鞋带摔倒了
"""),
    "part": table("""
carrot=一根胡萝卜; buttons=扣子; logs=圆木; rope=一根绳子; boards=木板; nails=钉子; bucket=一个小桶
shells=一些贝壳; branches=树枝; leaves=干树叶; paint=油漆; stones=石头; mud=泥巴; straw=稻草; old_hat=一顶旧帽子
""")}
KIN = {
    "mother": "妈妈", "father": "爸爸", "grandmother": "奶奶",
    "grandfather": "爷爷", "aunt": "姑姑", "uncle": "叔叔",
}
ROLES = {
    "teacher": "老师",
    "old man": "一位老爷爷",
    "old woman": "一位老奶奶",
}
NAMES = dict(pair.split("=") for pair in """
Mila=米拉 Tom=汤姆 Nora=诺拉 Ben=本恩 Martha=玛莎 George=乔治 Lucy=露西 Sam=萨姆 Ada=艾达 Max=马克斯 Helen=海伦
Walter=沃尔特
Zara=扎拉 Leo=利奥 Ruby=鲁比 Omar=奥马尔 Grace=格蕾丝 Victor=维克托 Ella=埃拉 Finn=芬恩 Ivy=艾薇 Jack=杰克
Olga=奥尔加
Hassan=哈桑 Leila=莱拉 Ravi=拉维 Anna=安娜 Paul=保罗 Ruth=露丝 Simon=西蒙 Tara=塔拉 Hugo=雨果 Maya=玛雅
Karim=卡里姆
Fatima=法蒂玛 Arthur=亚瑟 Clara=克拉拉 Oscar=奥斯卡 Rosa=罗莎 Adam=亚当 Irene=艾琳 Robert=罗伯特 Hana=哈娜
Theo=西奥 Dora=多拉
Felix=费利克斯 Judith=朱迪丝 Bruno=布鲁诺 Lily=莉莉 Peter=彼得 Sofia=索菲娅 David=大卫 Carmen=卡门 Edgar=埃德加
Emma=艾玛
Noah=诺亚 Nina=妮娜 Ali=阿里 Agnes=阿格尼丝 Martin=马丁
Oakford=橡溪镇 Millbrook=磨坊镇 Redhill=红山镇 Stonebridge=石桥镇 Fernley=蕨叶镇 Larkton=云雀镇 Windham=风谷镇
Applewick=苹果镇
Foxdale=狐谷镇 Greenport=绿港镇
Pip=皮皮 Rex=雷克斯 Dot=点点 Turbo=飞飞 Pepper=胡椒 Captain=船长 Star=星星 Clover=小草 Button=扣扣 Biscuit=饼干
Smoky=烟烟
Echo=回声 Scout=小侦探 Snowy=雪球 Inky=墨墨 Granny=慢慢 Tick=滴答 Daisy=雏菊 Wave=浪浪 Berry=莓莓 Bramble=刺刺
Misty=小雾
Thunder=雷雷 Newton=牛顿 Mango=芒果 Poppy=波比 Whisper=悄悄 Ginger=姜姜 Velvet=绒绒 Anchor=铁锚 Bolt=螺丝
Cloud=云朵
Nibble=嚼嚼 Honey=蜜蜜 Boots=靴靴 Dancer=舞舞 Comet=彗星 Pearl=珍珠 Blaze=火火 Tango=探戈 Iron=铁铁 Shadow=影子
Hop=蹦蹦
Bear=小熊 Feather=毛毛 Paprika=辣椒 Penny=铜铜 Peanut=花生 Rock=小石头 Tulip=小郁 Atom=原子 Ribbon=带带
Letter=信信 Coco=可可
Shell=贝贝 Moss=苔苔 Breeze=微风 Lemon=柠檬 Storm=风暴
""".split())
DIGITS = "零一二三四五六七八九"


class Chinese(Tongue):
    """Rules of Chinese: a measure word between number and noun, 的 after colours, no gender but in 他 and 她."""

    language, words, tables = "chinese", WORDS, TABLES
    first = {"": "a", "n": "a"}  # n: without 那, which Chinese leaves out where the thing is clear
    formats = {"in": 1, "there": 1, "adj": 1, "did": 1}

    def gender(self, value):
        """0 he, 1 she; 2 and 3 the same for grown-ups, whom a child addresses as 您."""
        if not isinstance(value, Person | Kin | Role):
            return 0
        return (value.gender == "f") + 2 * (isinstance(value, Person) and not value.is_child)

    def who(self, who, form, *, fresh, known, hero):
        match who:
            case Animal():
                named = {"my": f"我的{WORDS[who.kind][0]}{NAMES[who.name]}", "bare": WORDS[who.kind][0]}
                return named.get(form, NAMES[who.name])
            case Kin():
                named = KIN[who.kind]
            case Role():
                named = ROLES[who.kind].removeprefix("一位" if known else "")
            case Person() if not known and form not in ("name", "n") and not who.is_child:
                named = TABLES["job"][who.job][0] + NAMES[who.name]
            case Person() if not known and form not in ("name", "n") and hero and who != hero and who.town == hero.town:
                named = "小伙伴" + NAMES[who.name]
            case _:
                named = NAMES[who.name]
        if fresh and form in ("", "o", "de"):
            named = "她" if self.gender(who) % 2 else "他"
        return named + ("的" if form == "de" else "")

    def thing(self, thing: Thing, form, owner):
        noun, measure = WORDS[thing.kind]
        look = TABLES["colour"][thing.colour][0] + "的" if thing.colour else ""
        look = TABLES["size"][thing.size][0] if thing.size else look
        if form in ("bare", "n"):
            return noun
        return {"my": f"我的{noun}", "his": f"自己的{noun}", "a": f"一{measure}{look}{noun}"}.get(
            form, f"那{measure}{noun}")

    def animal(self, kind, form, owner=None):
        noun, measure = WORDS[kind]
        return {"a": f"一{measure}{noun}", "bare": noun}.get(form, noun)

    def number(self, n, form):
        if form == "l" and n == 2:
            return "两"
        if n == 100:
            return "一百"
        tens, ones = divmod(n, 10)
        return ("" if tens < 2 else DIGITS[tens]) + "十" * (tens > 0) + (DIGITS[ones] if ones or not n else "")

    def listed(self, foods, form):
        words = [WORDS[food][0] for food in foods]
        between, last = ("，没有", "，也没有") if form == "or" else ("、", "和")
        return between.join(words[:-1]) + f"{last}{words[-1]}" if len(words) > 1 else words[0]

    def word(self, kind, key, form):
        if kind == "place" and form == "there":
            return "在那里"
        if kind == "place" and form == "to":
            return TABLES["place"][key][-1] if len(TABLES["place"][key]) > 2 else TABLES["place"][key][0]
        if kind == "place" and form == "loc":
            return TABLES["place"][key][1].removeprefix("在")
        if kind == "spot":
            return ("在" if form == "at" else "") + TABLES["spot"][key][0]
        if kind in ("food", "plant", "work"):
            noun, measure, *rest = WORDS[key]
            if kind == "plant" and form == "fruit":
                return {"pumpkin": "一个大南瓜", "apple_tree": "一个苹果"}[key]
            return {"a": f"一{measure}{noun}", "do": rest[0] if rest else ""}.get(form, noun)
        if kind in ("town", "pet_name"):
            return NAMES[key]
        return super().word(kind, key, form)

    def inflected(self, kind, key, form, gender):
        return self.word(kind, key, form)

    def finish(self, text):
        return re.sub(r"[ \t]+", "", text)


TONGUE = Chinese()
