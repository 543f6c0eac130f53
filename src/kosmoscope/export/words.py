"""Word lists for `nouns`: closed classes of English, and the exceptions of its open ones."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


DETERMINERS = _words(
    "a an the this that these those some any each every another other no all both either neither "
    "my your his her its our their one's several many few various multiple numerous more most much "
    "enough such what which"
)
NUMBERS = _words(
    "one two three four five six seven eight nine ten eleven twelve dozen hundred thousand first "
    "second third"
)
BREAKS = _words(
    "of in on at by with without within to from for into onto over under above below beneath "
    "beside besides behind before after between among amongst amid around about across along "
    "alongside against near next inside outside through throughout toward towards up down off "
    "upon via like as than per during until past opposite atop underneath plus "
    "that which who whom whose where when while because and/or or but nor "
    "is are was were be been being has have had do does did can could will would may might must "
    "looks look appears appear seems seem stands stand sits sit lies lie lays wears wear holds "
    "hold"
)
"""Words that end the part of a noun phrase in which its head stands."""

CONTAINERS = _words(
    "group groups pair pairs couple couples bunch bunches lot lots number set sets row rows line "
    "lines herd herds flock flocks school crowd crowds team stack stacks pile piles collection "
    "variety array series piece pieces slice slices bit bits kind kinds type types sort sorts cup "
    "cups glass glasses bowl bowls plate plates bottle bottles can cans jar jars bag bags box "
    "boxes basket baskets mug mugs pot pots tray trays loaf loaves bouquet cluster clusters dozen "
    "dozens hundreds thousands majority handful trio swarm pack packs string bundle heap load "
    "sheet sheets strip strips patch patches clump litter"
)
"""'a group of people' is people: what is counted or contained is the head, not the measure."""

ADJECTIVES = _words(
    "black white red green blue yellow orange pink purple brown gray grey silver gold golden beige "
    "tan dark light bright pale colorful colourful big small large little huge tiny tall short "
    "long wide old young new modern ancient wooden metal plastic concrete empty full open closed "
    "clean dirty wet dry hot cold beautiful pretty cute happy sad round square striped plaid "
    "plain blonde blond bald male female adult elderly furry fluffy striking shiny clear cloudy "
    "sunny snowy rainy rocky sandy grassy lush thick thin heavy soft hard high low steep flat "
    "whole broken single double different same good bad great nice"
)

ING_NOUNS = _words(
    "building buildings painting paintings ceiling ceilings clothing ring rings king kings wing "
    "wings string strings thing things railing railings sling wedding morning evening lightning "
    "drawing drawings awning awnings siding lighting bedding frosting icing stuffing topping "
    "toppings dressing pudding earring earrings spring swing swings duckling ducklings sibling "
    "siblings herring filling flooring crossing landing offering covering carving carvings "
    "fencing netting seating serving servings sapling saplings seedling seedlings something "
    "anything nothing everything being beings writing paving awakening gathering wiring piping "
    "molding moulding marking markings scaffolding shelving opening lettering bring pingpong"
)
ING_MODIFIERS = _words(
    "parking dining swimming wedding living cutting washing sewing shopping sleeping baking mixing "
    "frying running hiking fishing rocking ironing surfing boxing drinking steering serving "
    "skating skiing sailing rowing walking climbing riding racing hunting cooking chewing tracking "
    "traveling weighing measuring folding hanging sliding revolving vending waiting changing "
    "dressing training building wrapping burning flying"
)
"""-ing words that stand before a noun as often as they are a verb: 'a glass dining table'."""

ED_NOUNS = _words(
    "bed beds shed sheds sled sleds seed seeds weed weeds reed reeds moped mopeds breed breeds "
    "red feed speed bobsled hundred tweed kindred flatbed seabed riverbed steed"
)
PARTICIPLES = _words(
    "made worn seen held built shown taken written drawn left surrounded covered parked dressed "
    "filled topped decorated seated standing painted attached lit hung stuck kept set laid cut "
    "wrapped tied chained mounted piled stacked lined known called named placed located scattered "
    "spread broken grown blown thrown driven ridden eaten hidden sold"
)

COMPOUNDS = _words(
    "traffic_light fire_hydrant stop_sign parking_meter sports_ball baseball_bat baseball_glove "
    "tennis_racket tennis_ball wine_glass hot_dog potted_plant dining_table cell_phone "
    "mobile_phone teddy_bear hair_drier hair_dryer street_light street_sign street_lamp "
    "swimming_pool parking_lot living_room ice_cream christmas_tree palm_tree polar_bear "
    "washing_machine coffee_table coffee_cup pine_tree sun_hat fire_truck fire_engine "
    "license_plate light_bulb solar_panel shopping_cart shopping_bag guinea_pig sea_lion "
    "washing_line soccer_ball basketball_court tennis_court"
)
"""Heads of two words whose second alone would be another thing; COCO's are all among them."""

PLURAL_ONLY = _words(
    "glasses scissors jeans pants shorts trousers sunglasses eyeglasses goggles binoculars clothes "
    "tongs pajamas pyjamas leggings tights overalls headphones earphones stairs surroundings "
    "sheep deer fish series species aircraft spacecraft moose salmon trout shrimp bison swine "
    "gas lens canvas christmas atlas pancreas tennis news chaos cosmos asparagus alias bias "
    "this his its yes us as is was has mars texas paris always perhaps"
)
"""Words in -s that have no other singular, and words that are both."""

SINGULAR = _pairs(
    "men:man women:woman children:child people:person persons:person feet:foot teeth:tooth "
    "geese:goose mice:mouse oxen:ox leaves:leaf knives:knife wives:wife wolves:wolf loaves:loaf "
    "shelves:shelf bookshelves:bookshelf halves:half calves:calf scarves:scarf hooves:hoof "
    "lives:life thieves:thief elves:elf selves:self sheaves:sheaf cacti:cactus fungi:fungus "
    "dice:die skis:ski taxis:taxi bikinis:bikini kiwis:kiwi emus:emu gnus:gnu menus:menu "
    "shoes:shoe horseshoes:horseshoe toes:toe canoes:canoe hoes:hoe oboes:oboe foes:foe "
    "pies:pie ties:tie lies:lie movies:movie cookies:cookie brownies:brownie zombies:zombie "
    "smoothies:smoothie selfies:selfie hoodies:hoodie genies:genie birdies:birdie doggies:doggie "
    "calories:calorie magpies:magpie collies:collie neckties:necktie bowties:bowtie "
    "caches:cache headaches:headache avalanches:avalanche axes:axe "
    "buses:bus gases:gas lenses:lens canvases:canvas minibuses:minibus pianos:piano photos:photo "
    "videos:video zeroes:zero crises:crisis bases:base oases:oasis vases:vase purses:purse "
    "horses:horse houses:house mouses:mouse blouses:blouse nurses:nurse roses:rose noses:nose "
    "hoses:hose cases:case phases:phase leashes:leash fuses:fuse geniuses:genius "
    "police:police broccoli:broccoli cattle:cow passersby:passerby kids:kid tvs:tv"
)
