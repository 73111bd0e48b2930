"""Plain English words that generated text is made of, and the part kept out of training."""

import hashlib
from dataclasses import dataclass

# One word in this many is never seen in training; probes are made of those alone.
HELD_OUT_ONE_IN = 8

_NOUNS = """
account actor address adult advert advice agency agenda agent airline airport alarm album alert
animal answer apartment appliance application appointment archive area argument arrival article
artist assistant attachment auction audience author award badge bag bakery balance balcony ball
band bank banner bar basket bathroom battery beach bed bench benefit bicycle bill bird birthday
blanket block board boat body bonus book booking booth border bottle bowl box branch brand bread
breakfast bridge broadcast brother browser brush budget bug building bus business button cabin
cabinet cable cafe cake calculator calendar call camera camp campaign candidate candle canvas car
card career cargo carpet cart case cash castle catalogue category ceiling cellar center chain chair
challenge channel chapter charge charger chart check cheese chemical chest child choice church
circle citizen city claim class classroom client climate clinic clock cloth clothes cloud club
coach coast coat code coffee coin collection college colour column comment committee company
comparison competition complaint component computer concert condition conference contact container
content contest contract copy corner cost cottage council counter country coupon courier course
court cousin cover credit crew crop culture cup currency curtain cushion customer cycle daily dance
data database date daughter day deadline deal debt decision delay delivery demand dentist deposit
depth design desk dessert destination detail device diagram diary dictionary diet dinner direction
directory discount discussion dish distance district doctor document dog domain donation door draft
drawer drawing dress drink driver duration duty editor education effort elevator email employee
energy engine engineer entrance entry envelope episode equipment error essay estate estimate event
exam example exchange exhibition expense experiment expert explanation export eye fabric face
factory failure fair family farm farmer fashion fee feedback fence ferry festival field figure file
film filter finance fine finger fire fish fitness flag flat flight floor flour flower folder food
football forecast forest forum fountain frame freight friend fruit fuel function fund furniture
gallery game garage garden gas gate gift glass goal gold grade grain grammar grant graph grass
grocery group guard guest guide guitar gym hall hammer hand handle harvest hat headline health
heart heater height helmet highway hobby holiday home horse hospital host hotel hour house humidity
ice icon idea image import income index industry ingredient inquiry insect instance instrument
insurance interest internet interview inventory invitation invoice island issue item jacket job
joke journal journey judge juice jury keyboard kitchen knife label laboratory ladder lake lamp
landlord language laptop law lawyer layer league lecture lens lesson letter level library licence
light limit line link lion list loan location lock log logo lunch machine magazine mail mailbox
manager manual map market mask match material meal measure meat medal medicine meeting member
memory menu message meter method microphone mile milk mineral minute mirror mission mobile model
module moment money monitor month mood moon morning motor mountain mouse movie museum music nail
name nation neighbour network news newsletter newspaper night noise note notebook notice novel
number nurse object occasion ocean offer office officer oil opera operator opinion option orange
orchestra order organ outlet oven owner package page pain paint painter pair palace panel paper
paragraph parcel parent park parking parliament partner party pass passage passenger passport
password path patient pattern payment peak pen pencil pension people pepper percent performance
period permission permit person pet phone photo phrase piano picture piece pilot pipe place plan
plane planet plant plate platform player playlist pocket podcast poem poet point police policy
pollution pool port portfolio portion portrait position post poster pot potato pound powder prayer
prescription present president price printer prize problem process product profile profit program
project promise proof property proposal protein province pump pupil purchase purpose quantity
quarter query question queue quiz quota quote radio rail rain rate rating ratio receipt recipe
record referee refund region register reminder rent repair reply report request rescue reservation
resident resort resource response restaurant result return review reward rhythm rice ring river
road robot rocket role roof room root rope round route routine rule runner safety salad salary sale
salt sample sand satellite sauce scale scene schedule scheme school science score screen script
sculpture sea search season seat second secret section seed seller seminar sensor sentence series
server service session shade shape share sheet shelf shell shift ship shipment shirt shoe shop
shore shoulder show shower shuttle side sign signal singer sister site size skill skin sky slide
smoke snack snow soap society sofa software soil soldier solution song sound soup source space
speaker species speech speed sport spot square stadium staff stage stamp star statement station
statistic status stock stomach stone storage store storm story stove strategy stream street student
studio subject subscription suburb sugar suit summary summer supplier supply surface surgery survey
switch symbol symptom system table tablet tape target task tax taxi tea teacher team technician
telephone temperature tenant term terminal test text theatre theory thermostat ticket tide time
timer tip tissue title toast toilet tone tool tooth top topic total tour tourist towel tower town
toy track trade traffic trailer train trainer transaction transfer transit translation transport
travel treasure treatment tree trend trial trip truck tunnel tutor type umbrella unit university
update upgrade user vacation vaccine value van variety vegetable vehicle vendor version video view
village visa visit visitor voice volume vote voucher wage waiter wall wallet warehouse warning
waste watch water wave weather web website wedding week weight wheel width window wine wing winner
winter wire witness wood word work worker workshop world yard year zone
"""
_VERBS = """
accept activate add adjust approve archive arrange assign attach block book borrow build buy
calculate call cancel change charge check choose clean close collect combine compare compose
compute confirm connect convert copy count create decline delete deliver describe detect disable
discover display divide download draw edit enable estimate evaluate exchange explain export fetch
file fill find fix follow forward gather generate get give hide hire identify import inspect
install invite join launch lend list load locate lock log look lower make manage mark measure merge
monitor move mute notify open order organise pack pause pay pick place plan play post predict
prepare print process publish purchase put raise rank rate read recommend record recover reduce
refresh refund register reject release remind remove rename renew rent repair replace reply report
request rescue reserve reset resize restart restore resume return review rotate run save scan
schedule search select sell send set share ship show shuffle sign simulate skip solve sort split
start stop store submit subscribe suggest summarise switch take test track transfer translate trim
turn unlock update upgrade upload verify view visit vote wash water weigh withdraw wrap write
"""
_ADJECTIVES = """
active annual available basic best big blue bright broken brown busy calm cheap chief clear clever
cold common complete cool correct current dark dear deep different digital direct double dry early
easy electric empty exact extra fair fast favourite final fine first flat foreign formal free
fresh full future general gentle global golden good grand great green grey happy hard heavy hidden
high historic hot huge human inner internal large last late latest lazy light little local long
loud low lucky main major maximum medical mild minimum minor mobile modern monthly narrow natural
near neat new next nice noisy normal northern official old online only open orange original outer
overdue own personal pink plain polite poor popular possible private proud public purple quick
quiet random rapid rare raw ready real recent red regular related remote rich right rough round
royal safe second secret senior separate serious sharp short shy silent silver simple single slow
small smart smooth soft solid southern special spicy square standard steady strange strict strong
sudden sunny sweet tall tender thick thin tiny tired total tropical typical unique upper urban
urgent usual valid vast visible warm weekly western wet white whole wide wild wise wooden yellow
young
"""


@dataclass(frozen=True)
class Lexicon:
    """Words by kind, each list in alphabetical order."""

    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    adjectives: tuple[str, ...]


def is_held_out(word: str) -> bool:
    """Return whether a word is kept for probes; it follows from the word alone."""
    return hashlib.sha256(word.encode()).digest()[0] % HELD_OUT_ONE_IN == 0


def _part(held_out: bool) -> Lexicon:
    nouns, verbs, adjectives = (
        tuple(sorted({word for word in text.split() if is_held_out(word) == held_out}))
        for text in (_NOUNS, _VERBS, _ADJECTIVES)
    )
    return Lexicon(nouns, verbs, adjectives)


SEEN = _part(held_out=False)
HELD_OUT = _part(held_out=True)
ALL_WORDS = tuple(sorted({*_NOUNS.split(), *_VERBS.split(), *_ADJECTIVES.split()}))
