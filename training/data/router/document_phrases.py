"""Questions to documentation, policies and manuals, and conversations about them with short follow-ups.

QUESTIONS are templates by kind of document: standalone, answered by a passage. THREADS are exchanges with
follow-ups that cannot be understood alone (a rewrite is needed first) and with complete ones that change the
topic.
"""

from __future__ import annotations

SLOTS: dict[str, tuple[str, ...]] = {
    "device": ("router", "washing machine", "X200 printer", "smart lock", "heat pump", "e-bike",
               "coffee machine", "camera",
               "thermostat", "dishwasher", "projector", "baby monitor"),
    "shop": ("the web shop", "your store", "Linden Books", "the outlet", "the marketplace"),
    "thing": ("shoes", "opened software", "a gift card", "furniture", "a damaged parcel", "sale items",
              "a mattress"),
    "staff": ("new employees", "interns", "part-time staff", "managers", "contractors", "nurses"),
    "tool": ("the CLI", "the REST API", "the Python client", "the dashboard", "the mobile app", "the plug-in",
             "version 3"),
    "setting": ("the time-out", "dark mode", "single sign-on", "the log level", "two-factor login",
                "the proxy", "auto-save"),
    "place": ("the museum", "the swimming pool", "the library", "the campsite", "the zoo", "the ferry",
              "the city hall"),
    "animal": ("dogs", "guide dogs", "cats"),
    "code": ("E42", "0x80070005", "F13", "HTTP 429", "ERR_TLS", "17"),
    "course": ("Statistics I", "the evening course", "the lab course", "the summer school"),
    "plan": ("the basic plan", "the family plan", "the premium plan", "the trial"),
}  # fmt: skip

QUESTIONS: dict[str, tuple[str, ...]] = {
    "shop": ("What is the refund period at {shop}?", "Can I return {thing}?", "How long does delivery take?",
             "Who pays for sending back {thing}?",
             "Is {thing} covered by the warranty?", "How do I cancel an order at {shop}?",
             "Which payment methods does {shop} accept?",
             "Do you ship {thing} abroad?", "what are the conditions for exchanging {thing}"),
    "manual": ("How do I reset the {device}?", "What does error {code} on the {device} mean?",
               "How often must I clean the {device}?",
               "Where is the serial number of the {device}?",
               "How do I turn off the beeping of the {device}?", "How do I set an alarm on the {device}?",
               "Which batteries does the {device} need?",
               "My {device} shows {code}, what does the manual say?",
               "Tell me how to connect the {device} to the wifi."),
    "software": ("How do I change {setting} in {tool}?", "Which ports does {tool} use?",
                 "Does {tool} support {setting}?", "What is the default of {setting}?",
                 "How do I install {tool} on Linux?", "What is the rate limit of {tool}?",
                 "Explain what {setting} does in {tool}.",
                 "Where does {tool} store its configuration?", "What changed in the last release of {tool}?",
                 "How do I send a request with {tool}?"),
    "staff": ("How many days of leave do {staff} get?", "Who approves travel expenses?",
              "What is the dress code for {staff}?",
              "Are {staff} allowed to work from home?", "What does the handbook say about overtime?",
              "How do {staff} report an accident?",
              "How long is the notice period for {staff}?", "Which expenses does the company pay back?",
              "May {staff} bring {animal} to the office?"),
    "visit": ("When does {place} open on Sundays?", "How much is a ticket for {place}?",
              "Are {animal} allowed at {place}?", "Is there parking at {place}?",
              "Can I get into {place} with a wheelchair?", "Does {place} offer guided tours?",
              "How do I book a group visit at {place}?"),
    "school": ("What are the requirements for {course}?", "When is the deadline for {course}?",
               "How is {course} graded?",
               "Which books do I need for {course}?", "What happens if I miss an exam in {course}?"),
    "contract": ("What is included in {plan}?", "How can I end {plan}?",
                 "What does clause 7 say about liability?", "How much does {plan} cost per month?",
                 "Does {plan} renew automatically?", "What happens to my data when I leave {plan}?"),
    "asked": ("According to the documents, who founded the company?", "Find the section on returns.",
              "Summarise what the guide says about safety.",
              "What do the minutes say on the new office?",
              "Look up in the manual how to descale the {device}.",
              "In which chapter is {setting} explained?", "Is there anything in the docs about {setting}?",
              "Quote the paragraph on {thing}.", "What does our policy say about {thing}?"),
}  # fmt: skip
DEV_QUESTIONS = ("visit", "contract")

# question | answer | follow-ups that need the context | complete questions on another matter
THREADS = """
What is the refund period? | You can return goods within 30 days of delivery. | And for shoes? ; Is it longer at Christmas? ; who pays for that ; Does it apply abroad too? | Which payment methods do you accept? ; How long is the warranty on headphones?
How do I reset the router? | Hold the button on the back for ten seconds. | What if it does not blink? ; How long does it take? ; And the older model? ; Will I lose my settings then? | How do I change the wifi password?
How many days of leave do employees get? | Full-time employees get 28 days of leave a year. | And part-time? ; Can I carry them over? ; What about interns? ; Who approves it? | How are travel expenses paid back?
Who wrote the novel Dracula? | Bram Stoker wrote Dracula in 1897. | When was he born? ; What else did he write? ; Was it a success? ; Where did he live? | Who wrote the novel Frankenstein?
What is the capital of Kenya? | The capital of Kenya is Nairobi. | How many people live there? ; Is it safe? ; And of Uganda? ; what language do they speak | What is the highest mountain in Africa?
How does a heat pump work? | It moves heat from outside into the house with a refrigerant. | Is it loud? ; How much does one cost? ; Does that work in winter? ; What are the disadvantages? | What is the difference between a boiler and a stove?
Which ports does the server use? | It listens on port 8080 for HTTP and 8443 for TLS. | Can I change them? ; And the admin page? ; Which one is encrypted? ; why two | How do I install the server on Linux?
What is included in the premium plan? | Ten users, backups and telephone support. | How much is it? ; And the basic one? ; Can I switch back? ; What about the trial? | How do I delete my account?
Who painted the Mona Lisa? | Leonardo da Vinci painted the Mona Lisa. | Where is it now? ; How old was he then? ; Who is she? ; Has it ever been stolen? | Which museums in Paris are free?
When does the museum open? | The museum opens at ten from Tuesday to Sunday. | And on holidays? ; How much is it for students? ; Can I bring my dog there? ; What about Monday? | Where can I park near the museum?
What causes tides? | The pull of the moon and the sun on the oceans. | Which one is stronger? ; How often do they happen? ; Are there any in lakes? ; And on the moon itself? | How deep is the Pacific Ocean?
What does error E42 mean? | E42 means that the filter is blocked. | How do I fix that? ; How often does it happen? ; And E43? ; Is it dangerous? | Where do I find the serial number of the machine?
Who founded the company? | The company was founded by Ada Lund in 1974. | Is she still there? ; Where was that? ; How many people did it have then? ; Who runs it now? | What did the company earn in 2020?
What are the symptoms of anemia? | Tiredness, pale skin and shortness of breath. | How is it treated? ; What causes it? ; Is it dangerous in pregnancy? ; Can children get it as well? | What is a normal blood pressure?
Which gearbox does the E7 bike have? | The E7 has an eight-speed hub gear. | Does it need oil? ; And the E9? ; What about the brakes? ; how heavy is it | What is the range of the E7 battery?
What is the deadline for the course? | Registration closes on 15 March. | Can I still get in after that? ; And the summer term? ; What does it cost? ; Who teaches it? | Which books do I need for Statistics I?
How is tea made? | Leaves are picked, dried and heated. | Why are they heated? ; And green tea? ; Which country makes the most of it? ; When was it invented? | Who invented the coffee machine?
What is the notice period? | The notice period is four weeks to the end of the month. | And during probation? ; Does it have to be in writing? ; What about the employer? ; Is that normal? | What is the dress code of the company?
""".strip()  # noqa: E501
DEV_THREADS = """
Is the swimming pool heated? | Yes, the outdoor pool is heated from May to September. | To how many degrees? ; What about the one inside? ; Why only then? | How much is a ticket for ten visits?
Who discovered penicillin? | Alexander Fleming discovered penicillin in 1928. | How did he find it? ; Did he get a prize for that? ; Which diseases does it cure? | What is the difference between a virus and a bacterium?
Does the insurance cover theft? | Theft of bicycles is covered up to 1,500 euros. | And if it was not locked? ; What about abroad? ; How do I report it? | How can I change my address at the insurance?
What does the export function do? | It writes all records to a CSV file. | Can it write Excel too? ; Where does it put them? ; how big can it get | Which browsers are supported?
When was the bridge built? | The bridge was built between 1931 and 1935. | Who designed it? ; How long is it? ; Was it ever closed? | Which river is the longest in Europe?
""".strip()  # noqa: E501


def threads(dev: bool) -> list[tuple[str, str, list[str], list[str]]]:
    """(question, answer, follow-ups, complete questions) of each thread of a split."""
    rows = []
    for line in (DEV_THREADS if dev else THREADS).splitlines():
        question, answer, short, complete = (part.strip() for part in line.split("|"))
        rows.append((question, answer, short.split(" ; "), complete.split(" ; ")))
    return rows
