"""Words by what they mean for the details of a sentence: relatives, occupations, colours, irregular forms."""

from __future__ import annotations

_RELATIVES = """
mother mum mom mommy mummy mama, father dad daddy papa, parents parent folks, husband hubby, wife, fiancé
fiance, fiancée fiancee, boyfriend, girlfriend, partner spouse, ex ex-husband ex-wife ex-boyfriend
ex-girlfriend, son sons boy boys, daughter daughters girl girls, child children kid kids baby babies,
stepson, stepdaughter, stepfather stepdad, stepmother stepmom stepmum, brother brothers, sister sisters,
sibling siblings, grandmother grandma granny nan, grandfather grandpa grandad granddad, grandchild
grandchildren grandson granddaughter grandkids, uncle uncles, aunt aunts auntie, cousin cousins, nephew
nephews, niece nieces, friend friends, neighbour neighbours neighbor neighbors, flatmate flatmates roommate
roommates housemate housemates, boss
"""
KIN = {word: group.split()[0] for group in _RELATIVES.split(",") for word in group.split()}
"""Each word for a relative, or another person of the speaker's, → the word that stands for all its like."""

_MEN, _WOMEN = {"husband", "boyfriend", "fiancé"}, {"wife", "girlfriend", "fiancée"}
PARTNERS = {partner: _WOMEN for partner in _MEN} | {partner: _MEN for partner in _WOMEN}
"""A partner → those that the same speaker does not have as well."""

COLOURS = frozenset(
    "black blond blonde blue brown gold gray green grey orange pink purple red silver white yellow".split()
)

_IRREGULAR = """
teach taught, drive drove driven, run ran, grow grew grown, go went gone, come came, eat ate eaten, drink
drank drunk, write wrote written, sing sang sung, swim swam, speak spoke spoken, buy bought, sell sold,
build built, keep kept, leave left, lose lost, meet met, ride rode, sleep slept, take taken took, tell told,
get got, break broke broken, win won, wear wore, make made, give gave given, find found, have had has, know
knew, child children kids kid, foot feet, man men, woman women, wife wives, mouse mice, tooth teeth, live
lives, favourit favorite, colour color, veget vegetarian, mother mum mom, father dad, flat apartment, film
movie movies, vet veterinarian, photo photograph photographer, spend spent, learn learnt, die dying, do
does, bicycl bike
"""
IRREGULAR = {word: group.split()[0] for group in _IRREGULAR.split(",") for word in group.split()[1:]}
"""Forms and spellings that endings do not tell → their stem."""

GENERIC = frozenset(
    """
    have get go make thing lot bit good great nice kind year time day one like love enjoy really want know
    think own live work use way tell sure much many little new old still ever back favourite favorite call
    name come take try start put see say am be is do let now currently moment hate the a an every called
    used named last give quit stop pass away older younger big small anything something color colour morning
    evening afternoon week weekend
    """.split()
)
"""Words that say too little for two sentences that share them to speak of the same."""

OCCUPATIONS = frozenset(
    """
    accountant actor actress architect artist assistant astronaut attorney author baker banker barber
    barista bartender beekeeper biologist bookkeeper builder butcher caretaker carpenter cashier chef
    chemist cleaner clerk clown coach comedian conductor consultant cook cop counsellor counselor courier
    dancer dentist designer detective developer director diver doctor driver economist editor electrician
    engineer entertainer farmer firefighter fireman fisherman florist gardener guard guide hairdresser
    historian housekeeper instructor janitor jeweller journalist judge lawyer lecturer librarian lifeguard
    locksmith maid manager mechanic medic midwife miner model musician nanny nurse officer optician owner
    painter paramedic pharmacist photographer physicist pilot plumber poet policeman politician porter
    postman potter priest principal producer professor programmer realtor receptionist reporter researcher
    sailor salesman salesperson scientist secretary shoemaker shopkeeper singer soldier stylist surgeon
    surveyor tailor teacher technician therapist trader trainer translator trucker tutor vet veterinarian
    waiter waitress watchmaker weaver welder writer zookeeper
    """.split()
)

GENERAL_OCCUPATIONS = frozenset("manager owner assistant clerk driver teacher worker".split())
"""Occupations that say little without their field, as in “hotel manager”."""

_SAME_WORK = """
teacher lesson school teach, chef chef cook kitchen, cook canteen chef cook, artist art draw paint sculpt,
painter paint, mechanic car vehicl repair fix, accountant financ account tax, musician band cello music
orchestra pianist piano play, driver driv, manager manag, owner own, farmer farm, vet vet veterinarian,
writer book novel poem writ, doctor doctor physician surgeon, officer army officer police, cop detectiv
police, soldier army soldier, sailor boat navy row sail ship, model model, postman mail post, courier
deliver parcel, watchmaker clock watch
"""
SAME_WORK = {group.split()[0]: frozenset(group.split()[1:]) for group in _SAME_WORK.split(",")}
"""An occupation → stems of words that say as much."""

_WORKPLACES = """
restaurant cook chef wait waitr restaurant kitchen, supermarket shop cashi clerk sell supermarket store,
grocery shop cashi clerk sell supermarket store grocery, store shop cashi clerk sell supermarket store,
bakery bak bakery, bank bank clerk account, hospital nurs doctor surgeon medic hospital paramedic, school
teach school teach lesson canteen
"""
WORKPLACES = {group.split()[0]: frozenset(group.split()[1:]) for group in _WORKPLACES.split(",")}
"""A place of work → stems of the work done there."""

NO_FIELD = frozenset(
    "good great new full part time professional high primary local old retired small big former happy proud "
    "the a an".split()
)
"""Words before an occupation that do not say of which field it is."""

REGIONS = frozenset(
    """
    africa america asia australia austria belgium brazil canada chile china cuba denmark egypt england
    europe finland france germany greece hungary iceland india iran ireland israel italy jamaica japan kenya
    korea mexico netherlands nigeria norway peru poland portugal romania russia scotland spain sweden
    switzerland turkey ukraine vietnam wales uk usa alabama alaska arizona arkansas california colorado
    connecticut florida georgia hawaii idaho illinois indiana iowa kansas kentucky louisiana maine maryland
    massachusetts michigan minnesota mississippi missouri montana nebraska nevada ohio oklahoma oregon
    pennsylvania tennessee texas utah vermont virginia wisconsin wyoming
    """.split()
) | {"new zealand", "south africa", "united states", "new jersey", "new mexico", "north carolina"}
"""Countries and states: a town may lie in them."""
