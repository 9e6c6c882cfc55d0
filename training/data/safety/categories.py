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
    "self_harm": r"suicid|self[- ]?harm|kill (myself|themsel|yoursel)|starve myself|anorexi|bulimi"
    r"|eating disorder|cut(ting)? (myself|yourself)|end (my|your) life|harm (myself|yourself|themselves)"
    r"|overdose on purpose|thinspo|poison myself|hang myself|self-injur",
    "weapons": r"\bbomb|explosiv|grenade|molotov|firearm|\bguns?\b|ammunition|silencer|ricin|anthrax"
    r"|nerve agent|bioweapon|chemical weapon|biological weapon|weapon|detonat|nuclear device|dirty bomb"
    r"|sarin|ghost gun",
    "violence": r"\bkill|murder|assassinat|\bhurt\b|attack (a|the|my|people|someone)|torture|kidnap"
    r"|abduct|violen|terroris|massacre|shooting|\bstab|beat (up|someone)|arson|set fire|\bfight|poison"
    r"|mistreat|abuse|throw acid|physical harm|bodily|strangl|genocid|riot|hitman|cannibal|dogfight"
    r"|animal cruelty|bullfight|drown|lynch",
    "sexual": r"porn|\bsex|nude|erotic|obscene|prostitut|rape|molest|lewd|dirty joke|adult toy|escort"
    r"|fetish|undress|groping|grooming|bestiality|intimate photo|voyeur|strip(per|tease)|masturbat",
    "hate": r"racis|racial|hate speech|hateful|white supremac|supremacis|nazi|antisemit|anti-semit"
    r"|islamophob|homophob|transphob|xenophob|sexis[tm]|misogyn|discriminat|slurs?\b|ethnic|inferior"
    r"|minorit|immigrant|jews?\b|jewish|muslim|black people|gay people|women are|stereotyp|bigot"
    r"|marginalized|prejudice|holocaust",
    "harassment": r"harass|bully|bullied|stalk|blackmail|intimidat|humiliat|insult|revenge|extort"
    r"|threaten|threatening|defam|ridicul|mock |worthless|so ugly|ruin (his|her|their|my)|gaslight"
    r"|manipulat|troll|swat",
    "cyber": r"hack|malware|ransomware|virus|trojan|keylogger|phish|exploit|ddos|denial of service"
    r"|sql injection|backdoor|botnet|spyware|brute[- ]force|crack (a |the |someone|pass)"
    r"|password cracker|bypass (security|anti|a)|cyber ?attack|rootkit|worm|vulnerabilit|shellcode"
    r"|wi-?fi network|security camera|intrusion|tamper|spam",
    "privacy": r"identity theft"
    r"|steal (someone|a person|personal|confidential|sensitive|an identity|my .*identity)"
    r"|personal (information|data)|home address|dox|private (information|message|data)|spy on"
    r"|track(ing)? (someone|a)|social security|eavesdrop|surveil|confidential|credentials|phone number"
    r"|medical record|fingerprint|stolen data|credit card (number|information)"
    r"|someone's (identity|email)|leak|trade secret|wiretap|license number",
    "misinformation": r"misinformation|disinformation|fake news"
    r"|false (information|news|rumou?r|claims?|story)|conspiracy|hoax|propaganda"
    r"|rig(ging)? (an|the) election|manipulat\w+ (the |public |an )?(election|opinion|vot)|deepfake"
    r"|vaccines cause|mislead|election fraud|flat earth|fabricat|undermin\w+ (trust|democra)"
    r"|fake reviews?",
    "dangerous_advice": r"dangerous|bleach|anti-vax|miracle cure|drunk driv|drinking and driving"
    r"|while (drunk|driving)|unsafe|stop taking (your|my)|dangerous challenge"
    r"|without (a )?(doctor|medical)|eat tide|ignore the label|fasting for|detox with|extreme diet"
    r"|prescri|underage drink|children to (play|use|drink|gamble)|texting",
    "illegal": r"steal|stole|shoplift|\brob\b|robbery|burgl|\bdrugs?\b|cocaine|meth\b|methamphet|heroin"
    r"|\blsd\b|smuggl|launder|counterfeit|forg(e|ing|ery)|fraud|scam|tax evasion|evad|insider trading"
    r"|embezzl|brib|illegal|traffick|pyramid|ponzi|black market|fake (id|passport|document|money|cheque)"
    r"|piracy|pirated|steroids|poach|cheat|escape|without (getting|being) caught|human organs"
    r"|child labor|plagiar|gambl|vandal|break into|hot-?wire|crime|theft",
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
