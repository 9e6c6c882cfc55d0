"""Named pools of string values that many functions share. Data only."""

from __future__ import annotations


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split(";") if part.strip())


_FIRST = _split(
    "Anna;Ben;Chloe;David;Elena;Farid;Grace;Hugo;Ines;Jamal;Keiko;Liam;Maria;Noah;Olivia;Pavel;Quentin;Rosa;"
    "Samir;Tara;Uma;Victor;Wanda;Xavier;Yusuf;Zoe;Amara;Diego;Fatima;Mei;Oscar;Priya;Stefan;Ngozi"
)
_LAST = _split(
    "Lopez;Okafor;Schmidt;Tanaka;Novak;Silva;Johansson;Khan;Rossi;Murphy;Dubois;Kowalski;Petrov;Nguyen;Haddad;"
    "Moreau;Adeyemi;Bauer;Castillo;Lindgren;Park;Ortiz;Weaver;Chandra"
)
_PAIRS = tuple((first, _LAST[(7 * i + 3) % len(_LAST)]) for i, first in enumerate(_FIRST))

POOLS: dict[str, tuple[str, ...]] = {
    "first": _FIRST,
    "person": tuple(f"{first} {last}" for first, last in _PAIRS)
    + tuple(f"{first} {_LAST[(5 * i + 11) % len(_LAST)]}" for i, first in enumerate(_FIRST)),
    "relation": _split("my mom;my brother;my boss;my sister;Dr. Patel;Aunt Rita;Grandpa Joe;my landlord"),
    "email": tuple(
        f"{first.lower()}{dot}{last.lower()}@{host}"
        for i, (first, last) in enumerate(_PAIRS)
        for dot, host in (
            (("." if i % 2 else ""), ("example.com", "mailbox.org", "acme.io", "uni.edu")[i % 4]),
        )
    ),
    "phone": tuple(
        pattern.format(200 + 37 * i % 700, 1000 + 613 * i % 9000)
        for i in range(40)
        for pattern in (("555-{0}-{1}", "+1 555 {0} {1}", "(555) {0}-{1}")[i % 3],)
    ),
    "username": _split(
        "skywalker92;mia_codes;the_real_tom;nightowl;greenleaf7;pixelpanda;dr_strange_fan;j_doe;lunar.fox;"
        "coffeebean;trailrunner;kiwi_queen;sam.builds;oldbookworm;zenmaster33;bluecomet"
    ),
    "city": _split(
        "Paris;London;Tokyo;Berlin;Madrid;Rome;Lisbon;Vienna;Prague;Oslo;Dublin;Toronto;Chicago;Boston;Seattle;"
        "Denver;Austin;Miami;San Francisco;New York;Los Angeles;Mexico City;Lima;Bogota;Buenos Aires;Sao Paulo;"
        "Lagos;Nairobi;Cairo;Accra;Cape Town;Casablanca;Istanbul;Dubai;Mumbai;Delhi;Bangalore;Dhaka;Karachi;"
        "Bangkok;Hanoi;Jakarta;Manila;Singapore;Seoul;Osaka;Beijing;Shanghai;Sydney;Melbourne;Auckland;Helsinki;"
        "Warsaw;Budapest;Athens;Zurich;Brussels;Amsterdam;Stockholm;Copenhagen;Montreal;Vancouver;Phoenix;Dallas;"
        "Portland, Oregon;Atlanta;Nashville;Edinburgh;Manchester;Lyon;Munich;Hamburg;Milan;Naples;Seville;Krakow"
    ),
    "country": _split(
        "France;Germany;Japan;Brazil;Canada;India;Kenya;Norway;Mexico;Italy;Spain;Egypt;Nigeria;Vietnam;Peru;"
        "Portugal;Turkey;Poland;Sweden;Argentina;Chile;Thailand;Indonesia;Morocco;Greece;Iceland;New Zealand"
    ),
    "state": _split(
        "California;Texas;Ohio;Florida;Oregon;Nevada;Maine;Utah;Georgia;Michigan;Colorado;Arizona;Vermont"
    ),
    "airport": _split(
        "JFK;LAX;ORD;LHR;CDG;FRA;AMS;MAD;FCO;DXB;SIN;HND;SFO;BOS;SEA;MIA;DEN;YYZ;GRU;CPT;IST;DEL"
    ),
    "address": _split(
        "12 Oak Street;48 Maple Avenue;221 Hill Road;7 Harbour Lane;1500 Market Street;33 King's Court;"
        "9 Rue Victor Hugo;560 Lakeview Drive;18 Elm Close;77 Station Road;401 Pine Boulevard;26 Mill Lane"
    ),
    "street": _split(
        "Oak Street;Maple Avenue;Hill Road;Harbour Lane;Elm Close;Station Road;Main Street;Park Avenue"
    ),
    "place": _split(
        "the Eiffel Tower;Central Park;the central station;Heathrow Airport;the city museum;Union Square;"
        "the Golden Gate Bridge;Times Square;the university library;the Louvre;Hyde Park;the harbour;"
        "the convention center;City Hall;the botanical garden"
    ),
    "landmark": _split(
        "Eiffel Tower;Colosseum;Taj Mahal;Machu Picchu;Big Ben;Statue of Liberty;Angkor Wat;Stonehenge;"
        "Sagrada Familia;Petra;Mount Rushmore;Christ the Redeemer"
    ),
    "day": _split(
        "today;tomorrow;tonight;Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday;next Monday;next Friday;"
        "this weekend;next week;this Saturday;March 3rd;April 12;May 21st;June 5;July 4th;August 19;October 31st;"
        "the 15th of November;December 24"
    ),
    "weekday": _split("Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday"),
    "room": _split(
        "living room;kitchen;bedroom;bathroom;garage;hallway;office;dining room;nursery;basement;guest room;attic"
    ),
    "currency": _split("USD;EUR;GBP;JPY;CAD;AUD;CHF;INR;CNY;BRL;MXN;SEK;NOK;KRW;ZAR;TRY;PLN;SGD"),
    "language": _split(
        "French;Spanish;German;Italian;Japanese;Korean;Portuguese;Arabic;Hindi;Swahili;Turkish;Polish;Dutch;"
        "Mandarin;Russian;Greek;Vietnamese;Swedish"
    ),
    "ticker": _split("AAPL;MSFT;GOOG;AMZN;TSLA;NVDA;META;NFLX;IBM;ORCL;INTC;AMD;DIS;KO;PEP;NKE;SAP;BA"),
    "company": _split(
        "Apple;Microsoft;Tesla;Siemens;Toyota;Nestle;Samsung;Unilever;Spotify;Airbus;Sony;Intel;Boeing;IKEA;"
        "Netflix;Volkswagen;Pfizer;Adidas"
    ),
    "crypto": _split("Bitcoin;Ethereum;Solana;Dogecoin;Cardano;Litecoin;Polkadot;Monero"),
    "song": _split(
        "Bohemian Rhapsody;Imagine;Hotel California;Billie Jean;Yesterday;Smells Like Teen Spirit;Hey Jude;"
        "Purple Rain;Wonderwall;Halo;Clocks;Viva la Vida;Dancing Queen;Take Five;Superstition;Africa"
    ),
    "artist": _split(
        "Adele;Radiohead;Miles Davis;Taylor Swift;The Beatles;Daft Punk;Nina Simone;Coldplay;Bob Marley;Bjork;"
        "Stevie Wonder;Rosalia;Fela Kuti;Johnny Cash;Kendrick Lamar;Norah Jones"
    ),
    "genre": _split(
        "jazz;rock;classical;hip hop;reggae;techno;folk;blues;metal;soul;country;ambient;salsa;indie pop"
    ),
    "playlist": _split(
        "Morning Run;Chill Vibes;Road Trip;Study Beats;Party Mix;Sunday Brunch;Gym Power;Rainy Day;Focus Flow"
    ),
    "movie": _split(
        "Inception;The Godfather;Spirited Away;Casablanca;Parasite;Interstellar;Amelie;Jaws;Alien;Moonlight;"
        "Toy Story;Blade Runner;The Matrix;Coco;Arrival;Gravity;Rocky;Psycho"
    ),
    "moviegenre": _split(
        "comedy;drama;horror;thriller;science fiction;romance;animation;documentary;western;fantasy"
    ),
    "book": _split(
        "Dune;Pride and Prejudice;1984;Moby Dick;The Hobbit;Beloved;Things Fall Apart;Emma;Dracula;Ulysses;"
        "The Stranger;Middlemarch;Frankenstein;Siddhartha"
    ),
    "author": _split(
        "Jane Austen;Toni Morrison;Haruki Murakami;Chinua Achebe;Leo Tolstoy;Agatha Christie;Isabel Allende;"
        "George Orwell;Ursula Le Guin;Franz Kafka;Mary Shelley;Jorge Luis Borges"
    ),
    "cuisine": _split(
        "Italian;Thai;Mexican;Indian;Japanese;Lebanese;Ethiopian;Greek;Korean;Vietnamese;French;Peruvian"
    ),
    "dish": _split(
        "lasagna;chicken curry;pad thai;beef tacos;mushroom risotto;caesar salad;tomato soup;falafel;ramen;paella;"
        "apple pie;banana bread;pancakes;guacamole;chili con carne;shakshuka;pierogi;jollof rice"
    ),
    "ingredient": _split(
        "chicken;rice;tomatoes;spinach;eggs;mushrooms;potatoes;chickpeas;salmon;tofu;garlic;onions;lentils;cheese;"
        "broccoli;carrots;pasta;coconut milk;bell peppers;avocado"
    ),
    "food": _split(
        "banana;oatmeal;grilled chicken;brown rice;greek yogurt;peanut butter;apple;boiled egg;avocado toast;"
        "almonds;cheeseburger;salmon fillet;protein shake;granola bar"
    ),
    "grocery": _split(
        "milk;eggs;bread;butter;olive oil;coffee;bananas;toilet paper;rice;cheese;apples;yogurt;detergent;onions;"
        "cereal;orange juice;flour;batteries"
    ),
    "product": _split(
        "wireless headphones;running shoes;laptop stand;coffee maker;yoga mat;desk lamp;backpack;water bottle;"
        "gaming mouse;phone case;electric kettle;winter jacket;bluetooth speaker;office chair;smartwatch;tent;"
        "air fryer;mechanical keyboard"
    ),
    "brand": _split("Nike;Sony;Bosch;Lego;Logitech;Philips;Samsung;Patagonia;Canon;Dyson;Adidas;Asus"),
    "color": _split("red;blue;green;yellow;purple;orange;white;pink;black;turquoise;gray;teal"),
    "team": _split(
        "Real Madrid;Lakers;Arsenal;Yankees;Bayern Munich;Chicago Bulls;Liverpool;Boca Juniors;Golden State Warriors;"
        "Ajax;Dallas Cowboys;Toronto Raptors;Juventus;Celtics;New York Rangers"
    ),
    "athlete": _split(
        "Lionel Messi;Serena Williams;LeBron James;Usain Bolt;Roger Federer;Simone Biles;Cristiano Ronaldo;"
        "Stephen Curry;Naomi Osaka;Kylian Mbappe;Megan Rapinoe;Tiger Woods"
    ),
    "league": _split("Premier League;NBA;La Liga;NFL;Bundesliga;NHL;Serie A;MLB;Champions League;WNBA"),
    "event": _split(
        "team meeting;dentist appointment;yoga class;project review;lunch with Sam;birthday dinner;parents evening;"
        "job interview;book club;doctor's visit;sprint planning;piano lesson;car service;coffee with Maya"
    ),
    "task": _split(
        "buy groceries;call the plumber;pay the rent;finish the report;water the plants;renew my passport;"
        "book flights;clean the garage;submit the expenses;walk the dog;reply to Hannah;update my resume;"
        "pick up the dry cleaning;order new glasses;change the air filter;return the library books"
    ),
    "message": _split(
        "I'll be ten minutes late;the meeting is moved to Friday;happy birthday;can you call me back;"
        "dinner is at eight;thanks for your help yesterday;the package has arrived;please review the draft;"
        "I'm on my way;see you at the station;the server is back online;don't forget the tickets;"
        "congratulations on the new job;we need more paper in the printer;running late, start without me"
    ),
    "subject": _split(
        "Quarterly report;Meeting notes;Vacation request;Invoice for May;Project update;Lunch on Friday;"
        "Interview schedule;Budget proposal;Welcome aboard;Contract renewal;Server maintenance;Team offsite"
    ),
    "topic": _split(
        "climate change;electric cars;artificial intelligence;space exploration;the housing market;vaccines;"
        "renewable energy;the Olympics;inflation;quantum computing;coffee farming;coral reefs;remote work;"
        "elections;cybersecurity;urban gardening"
    ),
    "word": _split(
        "ephemeral;serendipity;ubiquitous;candid;resilient;obsolete;gregarious;meticulous;ambiguous;lucid;"
        "pragmatic;nostalgia;frugal;tenacious;whimsical;benevolent"
    ),
    "sentence": _split(
        "Where is the train station;Good morning, how are you;I would like a coffee;The weather is nice today;"
        "How much does this cost;I love learning new languages;My phone is broken;See you next week;"
        "Could you help me, please;We are looking for a hotel;The meeting starts at nine;I am allergic to nuts"
    ),
    "review": _split(
        "The food was cold and the waiter was rude;Absolutely loved this phone;It broke after two days;"
        "Decent quality for the price;Best holiday we ever had;The plot made no sense at all;"
        "Shipping was slow but the product is great;I would not recommend this hotel"
    ),
    "note": _split(
        "wifi password is on the fridge;gift ideas for Lena;the spare key is with the neighbour;"
        "ask about the discount;measure the window before ordering;locker code changed in May;"
        "try the new bakery on 5th;parking spot B12;the paint color was sage green"
    ),
    "filename": _split(
        "report.pdf;notes.txt;budget.xlsx;photo.png;main.py;slides.pptx;data.csv;readme.md;invoice_042.pdf;"
        "backup.zip;config.yaml;thesis_final.docx;logo.svg;server.log"
    ),
    "folder": _split(
        "Documents;Downloads;Projects;Photos;/home/user/reports;/var/log;Desktop;/data/archive;Invoices;"
        "/srv/backups;Music;/tmp/export"
    ),
    "url": _split(
        "https://example.com;https://blog.example.org/post/42;https://shop.example.net;"
        "https://docs.example.io/start;www.example.edu;https://news.example.com/today;https://example.com/login"
    ),
    "domainname": _split(
        "example.com;mysite.org;shopnow.net;openlab.io;greenpaws.co;api.acme.dev;citynews.info"
    ),
    "repo": _split(
        "web-frontend;billing-api;data-pipeline;mobile-app;docs-site;auth-service;ml-models;infra"
    ),
    "service": _split(
        "auth-service;payment-api;web-frontend;search-index;redis-cache;mail-worker;user-db;gateway"
    ),
    "branch": _split("main;develop;feature/login;release-2.1;hotfix/header;bugfix/timeout;staging"),
    "symptom": _split("headache;fever;sore throat;cough;back pain;nausea;dizziness;fatigue;rash;runny nose"),
    "medicine": _split(
        "ibuprofen;amoxicillin;metformin;aspirin;lisinopril;paracetamol;vitamin D;insulin;omeprazole"
    ),
    "doctor": _split("Dr. Patel;Dr. Weiss;Dr. Romero;Dr. Kim;Dr. Osei;Dr. Laurent;Dr. Ahmed;Dr. Novak"),
    "exercise": _split(
        "push-ups;squats;running;cycling;swimming;plank;deadlifts;rowing;jump rope;yoga;lunges"
    ),
    "planet": _split("Mars;Venus;Jupiter;Saturn;Mercury;Neptune;Uranus"),
    "element": _split("gold;oxygen;carbon;helium;iron;sodium;silver;uranium;neon;calcium;copper;zinc"),
    "compound": _split("H2O;CO2;NaCl;C6H12O6;CH4;H2SO4;NH3;CaCO3;C2H5OH;O2"),
    "animal": _split(
        "red fox;blue whale;snow leopard;honey bee;emperor penguin;bald eagle;koala;axolotl;otter"
    ),
    "plant": _split(
        "monstera;basil;orchid;tomato;lavender;snake plant;cactus;rose bush;fiddle leaf fig;mint"
    ),
    "pet": _split("Rex;Luna;Whiskers;Bella;Max;Coco;Milo;Biscuit;Pepper;Simba"),
    "game": _split(
        "chess;Minecraft;Tetris;Catan;Mario Kart;Stardew Valley;poker;Rocket League;Scrabble;Portal 2"
    ),
    "course": _split(
        "Linear Algebra;World History;Organic Chemistry;Intro to Python;Microeconomics;Creative Writing;"
        "Data Structures;Art History;Statistics 101;Machine Learning"
    ),
    "school": _split(
        "Riverside High;Lincoln Elementary;Stanford University;St. Mary's College;MIT;Oakwood Academy"
    ),
    "job": _split(
        "software engineer;nurse;graphic designer;data analyst;teacher;electrician;product manager;accountant;"
        "truck driver;chef;marketing manager;translator"
    ),
    "department": _split("engineering;marketing;finance;sales;human resources;support;legal;operations"),
    "hotel": _split(
        "Grand Plaza;Sea Breeze Inn;Hotel Aurora;The Royal Oak;Mountain Lodge;City Central Hotel;Casa Bonita"
    ),
    "restaurant": _split(
        "Luigi's;The Golden Wok;La Cantina;Blue Lagoon;Taste of India;Burger Barn;Sakura House;Chez Marie;Olive Tree"
    ),
    "carmodel": _split(
        "Toyota Corolla;Tesla Model 3;Ford Focus;Honda Civic;BMW X5;Fiat 500;Volvo XC60;Kia Niro"
    ),
    "museum": _split("the Louvre;the British Museum;the Prado;the Rijksmuseum;MoMA;the Uffizi;the Met"),
    "painter": _split(
        "Frida Kahlo;Vincent van Gogh;Claude Monet;Pablo Picasso;Rembrandt;Georgia O'Keeffe;Hokusai"
    ),
    "zodiac": _split(
        "Aries;Taurus;Gemini;Cancer;Leo;Virgo;Libra;Scorpio;Sagittarius;Capricorn;Aquarius;Pisces"
    ),
    "show": _split(
        "Breaking Bad;The Crown;Dark;Friends;Stranger Things;The Office;Planet Earth;Fargo;Sherlock"
    ),
    "station": _split("BBC World Service;Jazz FM;NPR;Radio Paradise;Classic FM;KEXP;Radio Nova"),
    "expression": _split(
        "12 * (7 + 5);144 / 12 + 3;2^10 - 24;(45 - 17) * 3;sqrt(169) + 8;3.5 * 18;1024 / 32;(9 + 6) * (8 - 3)"
    ),
    "function": _split("x^2;3x^3 - 2x;sin(x);2x + 5;e^x;x^2 - 4x + 1;cos(x) + x;x^3;5x^4 - x;ln(x)"),
    "equation": _split(
        "x + 5 = 12;3x - 7 = 11;x^2 - 9 = 0;2x + 4 = 18;x^2 - 5x + 6 = 0;4x = 3x + 8;7x - 2 = 33"
    ),
    "dna": _split("ATGCGTAC;GGCTAAGT;TTAGCCAT;CCGATATG;ATATCGCG;GATTACA"),
}

QUOTED = {"message", "subject", "sentence", "review", "note", "word", "task"}
"""Pools whose values users often put in quotation marks."""
