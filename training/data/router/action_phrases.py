"""What people say when they want something done or something live looked up, by tool domain.

Templates with slots; slot values are in `SLOTS`. Many are questions on purpose: a question mark does not make
a request a matter for documents.
"""

from __future__ import annotations

SLOTS: dict[str, tuple[str, ...]] = {
    "city": ("Lagos", "Porto", "Graz", "Boston", "Osaka", "Leeds", "Turku", "Quito", "Lyon", "Perth", "Nairobi"),
    "name": ("Priya", "Tom", "Aylin", "Jonas", "Maria", "Kofi", "Elena", "my sister", "the whole team", "Dr. Weiss"),
    "day": ("tomorrow", "on Friday", "next Monday", "tonight", "on the 5th of May", "this weekend", "today"),
    "time": ("7 am", "half past six", "noon", "19:30", "a quarter to nine", "3 in the afternoon"),
    "room": ("kitchen", "bedroom", "living room", "garage", "hall", "office", "bathroom"),
    "song": ("some jazz", "Yellow Submarine", "my workout playlist", "the new album by Arlo Finch", "something calm"),
    "item": ("milk", "two lemons", "toilet paper", "a birthday card", "batteries", "cat food"),
    "list": ("shopping list", "to-do list", "packing list", "wish list"),
    "n": ("3", "17", "23", "48", "112", "7.5", "260", "1,250", "99"),
    "m": ("4", "12", "19", "36", "8", "15", "64"),
    "currency": ("dollars", "euros", "yen", "pounds", "Swiss francs", "rupees"),
    "company": ("Tesla", "Siemens", "Nintendo", "Shopify", "Novo Nordisk"),
    "task": ("call the dentist", "water the plants", "pay the rent", "hand in the report", "pick up the parcel"),
    "title": ("budget review", "lunch with Sam", "yoga class", "parents' evening", "sprint planning"),
    "service": ("billing", "the web shop", "search-api", "the login service"),
    "dish": ("a large margherita", "pad thai for two", "three burritos", "sushi"),
    "lang": ("French", "Turkish", "Japanese", "Portuguese", "Swahili"),
    "phrase": ("good morning", "where is the station", "thank you very much", "the bill, please"),
}  # fmt: skip

ACTIONS: dict[str, tuple[str, ...]] = {
    "music": ("Play {song}.", "put on {song} please", "Skip this song.", "Turn the volume up a bit.", "What song is this?",
              "Can you add this track to my running playlist?", "pause the music"),
    "home": ("Turn off the lights in the {room}.", "Is the front door locked?", "Make it warmer in the {room}, please.",
             "dim the {room} lamp to {m} percent", "Could you start the vacuum in the {room}?", "It is too dark in the {room}.",
             "How warm is it in the {room} right now?"),
    "calendar": ("Set an alarm for {time}.", "Remind me to {task} {day}.", "What is on my calendar {day}?",
                 "Put {title} into my calendar {day} at {time}.", "When is my next appointment?", "Cancel {title}.",
                 "Do I have time for {title} {day}?", "wake me up at {time}", "Move {title} to {time}."),
    "weather": ("What's the weather in {city}?", "Will it rain {day} in {city}?", "Do I need an umbrella {day}?",
                "How hot is it in {city} at the moment?", "What time is it in {city}?", "is it windy in {city} {day}"),
    "banking": ("How much money is in my savings account?", "Transfer {n} euros to {name}.", "I lost my card, block it.",
                "What did I spend last week?", "Pay my electricity bill.", "Show my last {m} transactions."),
    "travel": ("Find me a flight from {city} to Berlin {day}.", "Book a hotel in {city} for {m} nights.",
               "How is the traffic to the airport?", "Get me a taxi to the station at {time}.", "When does the next bus leave?",
               "I need a train to {city} {day}.", "Is flight LH{n} on time?"),
    "food": ("Order {dish}.", "Book a table for {m} {day} at {time}.", "Is there a good Thai place near {city}?",
             "I'm hungry, get me {dish}.", "Which restaurants nearby are open now?"),
    "mail": ("Send {name} a mail that I will be late.", "Do I have new mail from {name}?", "Text {name}: I am on my way.",
             "Post on my feed that the party is {day}.", "What is the phone number of {name}?", "Reply to {name} that I agree.",
             "Forward the last mail to {name}.", "Send this message to {name}: see you {day}."),
    "math": ("What is {n} times {m}?", "how much is {n} divided by {m}", "Convert {n} miles to kilometres.", "Flip a coin.",
             "What's {m} percent of {n}?", "How many grams are {m} ounces?", "Roll two dice.", "square root of {n}?",
             "How do you say {phrase} in {lang}?", "Translate '{phrase}' to {lang}.",
             "If I save {n} euros a month, how much is that in {m} months?"),
    "lists": ("Add {item} to my {list}.", "What is on my {list}?", "Take {item} off the {list}.", "we are out of {item}, note it",
              "Clear my {list}.", "Start a new {list}."),
    "finance": ("What is the share price of {company}?", "How many {currency} do I get for {n} euros?", "Any news about {company}?",
                "Show me the headlines.", "Did {company} go up today?"),
    "car": ("How much fuel is left?", "Check the tyre pressure.", "Book a service for my car {day}.", "Where is the nearest petrol station?"),
    "hr": ("How many days of leave do I have left?", "Request leave {day}.", "Get me my payslip for May.",
           "Was my leave request approved?", "I'm ill {day}, tell HR."),
    "work": ("Open a ticket: the printer on floor {m} is broken.", "Run the sales report for May.", "Deploy {service} to test.",
             "How many orders came in {day}?", "Which customers have not paid yet?", "Restart {service}.",
             "Give {name} access to the wiki.", "What is the status of ticket {n}?", "Who is on call {day}?"),
}  # fmt: skip
DEV_ACTIONS = ("car", "hr", "finance")

# First request, answer, and a short follow-up that still wants the tool.
FOLLOW_UPS: tuple[tuple[str, str, str], ...] = (
    ("What's the weather in Lagos?", "It is 31 degrees and sunny in Lagos.", "And in Accra?"),
    ("Is it raining in Leeds?", "Yes, light rain in Leeds.", "what about tomorrow"),
    ("Set an alarm for 7.", "The alarm is set for 7 am.", "Make it 7:30 instead."),
    ("Turn on the lamp in the hall.", "The lamp in the hall is on.", "Now the kitchen too."),
    ("Add milk to my shopping list.", "Milk is on your list.", "And eggs."),
    ("Play some jazz.", "Playing Smooth Jazz Hits.", "louder"),
    ("Book a table at Merle's for two.", "For what time should I book?", "At eight."),
    ("Transfer 50 euros to Tom.", "From which account?", "From savings."),
    ("What is 12 times 9?", "12 times 9 is 108.", "Divide that by 4."),
    ("How many orders came in today?", "There were 41 orders today.", "And yesterday?"),
    ("Find flights to Oslo on Friday.", "There are two flights, at 9:10 and 18:40.", "Book the second one."),
    ("Who is on call tonight?", "Priya is on call tonight.", "Send her a message that the login is down."),
    ("How much is 20 dollars in yen?", "About 3,000 yen.", "and 50?"),
    ("Do I have new mail?", "Two new mails, from Elena and from the bank.", "Read me the first one."),
    ("Order a pizza.", "Which pizza would you like?", "A large margherita."),
    ("Remind me to call Mum.", "When should I remind you?", "tomorrow at six"),
)
DEV_FOLLOW_UPS: tuple[tuple[str, str, str], ...] = (
    ("What is the share price of Siemens?", "178.40 euros.", "And Bosch?"),
    ("Request leave on Friday.", "Leave for Friday has been requested.", "Add Monday as well."),
    ("Check the tyre pressure.", "All tyres are fine.", "and the oil?"),
    ("Find me a rental car in Quito.", "From which day?", "Monday to Thursday."),
)
