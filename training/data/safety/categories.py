"""The harm categories of the safety contract and a keyword labeller for sets that have none of their own.

Only words are looked at: the labeller is for requests that are already known to be harmful, where it names
the kind of harm. It is no judge of whether a text is harmful.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CATEGORIES = (
    "violence", "weapons", "hate", "harassment", "self_harm", "sexual",
    "illegal", "cyber", "privacy", "misinformation", "dangerous_advice", "jailbreak",
)  # fmt: skip

# Order matters only for reading: every pattern is tried and all that match are kept (at most two).
_PATTERNS: dict[str, str] = {
    "self_harm": r"suicid|self[- ]?harm|kill (myself|themsel|yoursel)|starve myself|anorexi|bulimi|eating disorder"
    r"|cut(ting)? (myself|yourself)|end (my|your) life|harm (myself|yourself|themselves)|overdose on purpose"
    r"|thinspo|poison myself|hang myself|self-injur",
    "weapons": r"\bbomb|explosiv|grenade|molotov|firearm|\bguns?\b|ammunition|silencer|ricin|anthrax|nerve agent"
    r"|bioweapon|chemical weapon|biological weapon|weapon|detonat|nuclear device|dirty bomb|sarin|ghost gun",
    "violence": r"\bkill|murder|assassinat|\bhurt\b|attack (a|the|my|people|someone)|torture|kidnap|abduct|violen"
    r"|terroris|massacre|shooting|\bstab|beat (up|someone)|arson|set fire|\bfight|poison|mistreat|abuse|throw acid"
    r"|physical harm|bodily|strangl|genocid|riot|hitman|cannibal|dogfight|animal cruelty|bullfight|drown|lynch",
    "sexual": r"porn|\bsex|nude|erotic|obscene|prostitut|rape|molest|lewd|dirty joke|adult toy|escort|fetish"
    r"|undress|groping|grooming|bestiality|intimate photo|voyeur|strip(per|tease)|masturbat",
    "hate": r"racis|racial|hate speech|hateful|white supremac|supremacis|nazi|antisemit|anti-semit|islamophob"
    r"|homophob|transphob|xenophob|sexis[tm]|misogyn|discriminat|slurs?\b|ethnic|inferior|minorit|immigrant"
    r"|jews?\b|jewish|muslim|black people|gay people|women are|stereotyp|bigot|marginalized|prejudice|holocaust",
    "harassment": r"harass|bully|bullied|stalk|blackmail|intimidat|humiliat|insult|revenge|extort|threaten"
    r"|threatening|defam|ridicul|mock |worthless|so ugly|ruin (his|her|their|my)|gaslight|manipulat|troll|swat",
    "cyber": r"hack|malware|ransomware|virus|trojan|keylogger|phish|exploit|ddos|denial of service|sql injection"
    r"|backdoor|botnet|spyware|brute[- ]force|crack (a |the |someone|pass)|password cracker|bypass (security|anti|a)"
    r"|cyber ?attack|rootkit|worm|vulnerabilit|shellcode|wi-?fi network|security camera|intrusion|tamper|spam",
    "privacy": r"identity theft|steal (someone|a person|personal|confidential|sensitive|an identity|my .*identity)"
    r"|personal (information|data)|home address|dox|private (information|message|data)|spy on|track(ing)? (someone|a)"
    r"|social security|eavesdrop|surveil|confidential|credentials|phone number|medical record|fingerprint|stolen data"
    r"|credit card (number|information)|someone's (identity|email)|leak|trade secret|wiretap|license number",
    "misinformation": r"misinformation|disinformation|fake news|false (information|news|rumou?r|claims?|story)"
    r"|conspiracy|hoax|propaganda|rig(ging)? (an|the) election|manipulat\w+ (the |public |an )?(election|opinion|vot)"
    r"|deepfake|vaccines cause|mislead|election fraud|flat earth|fabricat|undermin\w+ (trust|democra)|fake reviews?",
    "dangerous_advice": r"dangerous|bleach|anti-vax|miracle cure|drunk driv|drinking and driving|while (drunk|driving)"
    r"|unsafe|stop taking (your|my)|dangerous challenge|without (a )?(doctor|medical)|eat tide|ignore the label"
    r"|fasting for|detox with|extreme diet|prescri|underage drink|children to (play|use|drink|gamble)|texting",
    "illegal": r"steal|stole|shoplift|\brob\b|robbery|burgl|\bdrugs?\b|cocaine|meth\b|methamphet|heroin|\blsd\b|smuggl"
    r"|launder|counterfeit|forg(e|ing|ery)|fraud|scam|tax evasion|evad|insider trading|embezzl|brib|illegal|traffick"
    r"|pyramid|ponzi|black market|fake (id|passport|document|money|cheque)|piracy|pirated|steroids|poach|cheat|escape"
    r"|without (getting|being) caught|human organs|child labor|plagiar|gambl|vandal|break into|hot-?wire|crime|theft",
}  # fmt: skip
_COMPILED = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _PATTERNS.items()}


def ordered(names: Iterable[str]) -> list[str]:
    """The names without repetition, in the order of the contract's enum."""
    wanted = set(names)
    return [name for name in CATEGORIES if name in wanted]


def matching(text: str, limit: int = 2) -> list[str]:
    """The categories whose words occur in `text`, those with most matches first kept, in enum order."""
    counts = {name: len(pattern.findall(text)) for name, pattern in _COMPILED.items()}
    found = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
    return ordered(found[:limit])


def categorise(text: str, default: str = "illegal") -> list[str]:
    """The categories of a harmful text; `default` where no word gives it away, so the list is never empty."""
    return matching(text) or [default]
