"""Say where every country's capital and every country is.

The 193 members of the United Nations and its 2 observer states.  Capital: the city that the state's own law names;
where it names several or none, the seat of the executive.  Continent: the region in which the United Nations'
statistics (M49) count the country, the Americas split into North (Central America and the Caribbean with it) and
South.  A claim of a state is reported, not judged: data/README.md lists the disputed ones.
"""
from dataclasses import dataclass

TABLE = {
    "Africa": """Algeria:Algiers Angola:Luanda Benin:Porto-Novo Botswana:Gaborone Burkina_Faso:Ouagadougou
        Burundi:Gitega Cabo_Verde:Praia Cameroon:Yaounde the_Central_African_Republic:Bangui Chad:N'Djamena
        the_Comoros:Moroni the_Republic_of_the_Congo:Brazzaville the_Democratic_Republic_of_the_Congo:Kinshasa
        Djibouti:Djibouti Egypt:Cairo Equatorial_Guinea:Malabo Eritrea:Asmara Eswatini:Mbabane Ethiopia:Addis_Ababa
        Gabon:Libreville the_Gambia:Banjul Ghana:Accra Guinea:Conakry Guinea-Bissau:Bissau
        Ivory_Coast:Yamoussoukro Kenya:Nairobi Lesotho:Maseru Liberia:Monrovia Libya:Tripoli
        Madagascar:Antananarivo Malawi:Lilongwe Mali:Bamako Mauritania:Nouakchott Mauritius:Port_Louis
        Morocco:Rabat Mozambique:Maputo Namibia:Windhoek Niger:Niamey Nigeria:Abuja Rwanda:Kigali
        Sao_Tome_and_Principe:Sao_Tome Senegal:Dakar Seychelles:Victoria Sierra_Leone:Freetown Somalia:Mogadishu
        South_Africa:Pretoria South_Sudan:Juba Sudan:Khartoum Tanzania:Dodoma Togo:Lome Tunisia:Tunis
        Uganda:Kampala Zambia:Lusaka Zimbabwe:Harare""",
    "Asia": """Afghanistan:Kabul Armenia:Yerevan Azerbaijan:Baku Bahrain:Manama Bangladesh:Dhaka Bhutan:Thimphu
        Brunei:Bandar_Seri_Begawan Cambodia:Phnom_Penh China:Beijing Cyprus:Nicosia Georgia:Tbilisi
        India:New_Delhi Indonesia:Jakarta Iran:Tehran Iraq:Baghdad Israel:Jerusalem Japan:Tokyo Jordan:Amman
        Kazakhstan:Astana Kuwait:Kuwait_City Kyrgyzstan:Bishkek Laos:Vientiane Lebanon:Beirut
        Malaysia:Kuala_Lumpur the_Maldives:Male Mongolia:Ulaanbaatar Myanmar:Naypyidaw Nepal:Kathmandu
        North_Korea:Pyongyang Oman:Muscat Pakistan:Islamabad Palestine:Jerusalem the_Philippines:Manila Qatar:Doha
        Saudi_Arabia:Riyadh Singapore:Singapore South_Korea:Seoul Sri_Lanka:Sri_Jayawardenepura_Kotte
        Syria:Damascus Tajikistan:Dushanbe Thailand:Bangkok Timor-Leste:Dili Turkey:Ankara
        Turkmenistan:Ashgabat the_United_Arab_Emirates:Abu_Dhabi Uzbekistan:Tashkent Vietnam:Hanoi
        Yemen:Sanaa""",
    "Europe": """Albania:Tirana Andorra:Andorra_la_Vella Austria:Vienna Belarus:Minsk Belgium:Brussels
        Bosnia_and_Herzegovina:Sarajevo Bulgaria:Sofia Croatia:Zagreb the_Czech_Republic:Prague
        Denmark:Copenhagen Estonia:Tallinn Finland:Helsinki France:Paris Germany:Berlin Greece:Athens
        Hungary:Budapest Iceland:Reykjavik Ireland:Dublin Italy:Rome Latvia:Riga Liechtenstein:Vaduz
        Lithuania:Vilnius Luxembourg:Luxembourg Malta:Valletta Moldova:Chisinau Monaco:Monaco
        Montenegro:Podgorica the_Netherlands:Amsterdam North_Macedonia:Skopje Norway:Oslo Poland:Warsaw
        Portugal:Lisbon Romania:Bucharest Russia:Moscow San_Marino:San_Marino Serbia:Belgrade
        Slovakia:Bratislava Slovenia:Ljubljana Spain:Madrid Sweden:Stockholm Switzerland:Bern Ukraine:Kyiv
        the_United_Kingdom:London Vatican_City:Vatican_City""",
    "North America": """Antigua_and_Barbuda:Saint_John's the_Bahamas:Nassau Barbados:Bridgetown Belize:Belmopan
        Canada:Ottawa Costa_Rica:San_Jose Cuba:Havana Dominica:Roseau the_Dominican_Republic:Santo_Domingo
        El_Salvador:San_Salvador Grenada:Saint_George's Guatemala:Guatemala_City Haiti:Port-au-Prince
        Honduras:Tegucigalpa Jamaica:Kingston Mexico:Mexico_City Nicaragua:Managua Panama:Panama_City
        Saint_Kitts_and_Nevis:Basseterre Saint_Lucia:Castries Saint_Vincent_and_the_Grenadines:Kingstown
        Trinidad_and_Tobago:Port_of_Spain the_United_States:Washington""",
    "South America": """Argentina:Buenos_Aires Bolivia:Sucre Brazil:Brasilia Chile:Santiago Colombia:Bogota
        Ecuador:Quito Guyana:Georgetown Paraguay:Asuncion Peru:Lima Suriname:Paramaribo Uruguay:Montevideo
        Venezuela:Caracas""",
    "Oceania": """Australia:Canberra Fiji:Suva Kiribati:South_Tarawa the_Marshall_Islands:Majuro
        Micronesia:Palikir Nauru:Yaren New_Zealand:Wellington Palau:Ngerulmud Papua_New_Guinea:Port_Moresby
        Samoa:Apia the_Solomon_Islands:Honiara Tonga:Nuku'alofa Tuvalu:Funafuti Vanuatu:Port_Vila""",
}


@dataclass(frozen=True)
class Country:
    """A country's name (with its article, in running text), capital and continent."""

    name: str
    capital: str
    continent: str


COUNTRIES = {name: Country(name, capital, continent)
             for continent, rows in sorted(TABLE.items())
             for name, capital in sorted(row.replace("_", " ").split(":") for row in rows.split())}
