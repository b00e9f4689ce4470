//! The words that names, places and sentences are made of.

/// First words of a company's name.
pub(super) const FIRST: [&str; 64] = [
    "Granite",
    "Northwind",
    "Blue River",
    "Silver Oak",
    "Redwood",
    "Harbor",
    "Summit",
    "Lakeside",
    "Evergreen",
    "Iron Gate",
    "Copper Hill",
    "Stonebridge",
    "Maple",
    "Falcon",
    "Beacon",
    "Crescent",
    "Pioneer",
    "Keystone",
    "Sterling",
    "Meridian",
    "Horizon",
    "Cascade",
    "Juniper",
    "Orchard",
    "Highland",
    "Prairie",
    "Canyon",
    "Delta",
    "Aurora",
    "Polaris",
    "Vantage",
    "Cobalt",
    "Amber",
    "Willow",
    "Cedar",
    "Birch",
    "Alpine",
    "Atlantic",
    "Pacific",
    "Baltic",
    "Nordic",
    "Iberian",
    "Rhine",
    "Danube",
    "Tyrol",
    "Saxon",
    "Celtic",
    "Orion",
    "Vega",
    "Lyra",
    "Quantum",
    "Vertex",
    "Apex",
    "Zenith",
    "Nimbus",
    "Stratus",
    "Compass",
    "Anchor",
    "Lighthouse",
    "Foundry",
    "Millstone",
    "Kestrel",
    "Heron",
    "Otter",
];

/// Second words of a company's name.
pub(super) const SECOND: [&str; 40] = [
    "Works",
    "Logistics",
    "Foods",
    "Systems",
    "Textiles",
    "Energy",
    "Partners",
    "Instruments",
    "Pharma",
    "Builders",
    "Robotics",
    "Analytics",
    "Ceramics",
    "Timber",
    "Marine",
    "Optics",
    "Plastics",
    "Media",
    "Insurance",
    "Motors",
    "Aviation",
    "Chemicals",
    "Furniture",
    "Brewing",
    "Dairy",
    "Packaging",
    "Metals",
    "Networks",
    "Software",
    "Hospitality",
    "Consulting",
    "Printing",
    "Tools",
    "Water",
    "Solar",
    "Wind",
    "Rail",
    "Seeds",
    "Glass",
    "Labs",
];

/// Ends of a company's name.
pub(super) const SUFFIX: [&str; 10] =
    ["Inc.", "LLC", "Ltd.", "GmbH", "AG", "Group", "Co.", "PLC", "B.V.", "& Sons"];

/// German names and cities.
pub(super) const GERMAN: [&str; 8] =
    ["Müller", "Größer", "Jäger", "Schäfer", "Köhler", "Weiß", "Böhm", "Lüdtke"];
/// Cities with letters beyond ASCII.
pub(super) const GERMAN_CITY: [&str; 6] =
    ["Würzburg", "Köln", "München", "Gießen", "Zürich", "Lübeck"];
/// Japanese companies.
pub(super) const JAPANESE: [&str; 6] = [
    "株式会社山田製作所",
    "東京商事株式会社",
    "さくら運輸",
    "有限会社鈴木工業",
    "日本海フーズ",
    "ミライソフト",
];
/// Japanese cities.
pub(super) const JAPANESE_CITY: [&str; 5] = ["東京都港区", "大阪市", "京都市", "札幌市", "福岡市"];
/// Emoji.
pub(super) const EMOJI: [&str; 5] = ["🚀", "🌱", "⚙️", "🏭", "👩‍🔬"];

/// Streets.
pub(super) const STREET: [&str; 20] = [
    "Main Street",
    "Station Road",
    "Mill Lane",
    "Church Street",
    "High Street",
    "Park Avenue",
    "Industrial Way",
    "Harbour Road",
    "Garden Street",
    "King Street",
    "Queens Road",
    "Bridge Street",
    "Market Square",
    "Oak Drive",
    "Maple Avenue",
    "River Road",
    "Hill Street",
    "Airport Boulevard",
    "College Street",
    "Commerce Parkway",
];

/// City, state, country, digits of its postal codes, its telephone code.
pub(super) type Place = (&'static str, &'static str, &'static str, u64, &'static str);

/// Places.
pub(super) const PLACES: [Place; 20] = [
    ("Chicago", "Illinois", "United States", 5, "+1 312 555 "),
    ("Austin", "Texas", "United States", 5, "+1 512 555 "),
    ("Denver", "Colorado", "United States", 5, "+1 303 555 "),
    ("Boston", "Massachusetts", "United States", 5, "+1 617 555 "),
    ("Seattle", "Washington", "United States", 5, "+1 206 555 "),
    ("Atlanta", "Georgia", "United States", 5, "+1 404 555 "),
    ("Portland", "Oregon", "United States", 5, "+1 503 555 "),
    ("Berlin", "Berlin", "Germany", 5, "+49 30 23125 "),
    ("Hamburg", "Hamburg", "Germany", 5, "+49 40 66969 "),
    ("Ulm", "Baden-Wuerttemberg", "Germany", 5, "+49 731 555 "),
    ("Vienna", "Vienna", "Austria", 4, "+43 1 555 "),
    ("Graz", "Styria", "Austria", 4, "+43 316 555 "),
    ("Zurich", "Zurich", "Switzerland", 4, "+41 44 555 "),
    ("Lyon", "Auvergne-Rhone-Alpes", "France", 5, "+33 4 6571 "),
    ("Madrid", "Madrid", "Spain", 5, "+34 91 555 "),
    ("Leeds", "West Yorkshire", "United Kingdom", 5, "+44 113 496 "),
    ("Utrecht", "Utrecht", "Netherlands", 4, "+31 30 555 "),
    ("Oslo", "Oslo", "Norway", 4, "+47 21 55 "),
    ("Toronto", "Ontario", "Canada", 6, "+1 416 555 "),
    ("Melbourne", "Victoria", "Australia", 4, "+61 3 5550 "),
];

/// Given names.
pub(super) const GIVEN: [&str; 24] = [
    "Anna", "Ben", "Carla", "David", "Elena", "Felix", "Grace", "Hugo", "Ines", "Jonas", "Karin",
    "Liam", "Maria", "Noah", "Olivia", "Paul", "Rosa", "Samuel", "Tara", "Ursula", "Victor",
    "Wendy", "Yusuf", "Zoe",
];

/// Family names.
pub(super) const FAMILY: [&str; 32] = [
    "Adams", "Baker", "Carter", "Diaz", "Evans", "Fischer", "Garcia", "Hughes", "Ivanova",
    "Jensen", "Keller", "Lopez", "Moreau", "Nguyen", "Olsen", "Patel", "Quinn", "Rossi", "Schmidt",
    "Tanaka", "Ueda", "Vogel", "Walker", "Xu", "Young", "Ziegler", "Brown", "Clark", "Dubois",
    "Engel", "Fraser", "Graham",
];

/// Sentences of a description.
pub(super) const SENTENCE: [&str; 12] = [
    "Long-standing customer with yearly framework orders.",
    "Prefers to be called in the morning.",
    "Moved to a new site last spring.",
    "Contract under review by the legal department.",
    "Runs two plants and a research centre.",
    "Interested in the service package.",
    "Pays within 14 days.",
    "Was taken over from the old system in the first wave.",
    "Central purchasing decides on all orders above 10000.",
    "Has asked for a quote on spare parts.",
    "Delivery by rail only.",
    "Reference customer for the region.",
];

/// Values of Industry on a new org.
pub(super) const INDUSTRY: [&str; 32] = [
    "Agriculture",
    "Apparel",
    "Banking",
    "Biotechnology",
    "Chemicals",
    "Communications",
    "Construction",
    "Consulting",
    "Education",
    "Electronics",
    "Energy",
    "Engineering",
    "Entertainment",
    "Environmental",
    "Finance",
    "Food & Beverage",
    "Government",
    "Healthcare",
    "Hospitality",
    "Insurance",
    "Machinery",
    "Manufacturing",
    "Media",
    "Not For Profit",
    "Recreation",
    "Retail",
    "Shipping",
    "Technology",
    "Telecommunications",
    "Transportation",
    "Utilities",
    "Other",
];

/// Values of Type on a new org.
pub(super) const TYPE: [&str; 7] = [
    "Prospect",
    "Customer - Direct",
    "Customer - Channel",
    "Channel Partner / Reseller",
    "Installation Partner",
    "Technology Partner",
    "Other",
];

/// Values of Rating on a new org.
pub(super) const RATING: [&str; 3] = ["Hot", "Warm", "Cold"];

/// Values of Ownership on a new org.
pub(super) const OWNERSHIP: [&str; 4] = ["Public", "Private", "Subsidiary", "Other"];

/// Values of the local org's `Segments__c` in use here.
pub(super) const SEGMENT: [&str; 3] = ["Enterprise", "Partner", "SMB"];

/// Values of the local org's restricted `Tier__c`.
pub(super) const TIER: [&str; 4] = ["Bronze", "Silver", "Gold", "Platinum"];

/// Titles of people.
pub(super) const TITLE: [&str; 10] = [
    "Head of Purchasing",
    "Sales Manager",
    "Engineer",
    "Chief Executive",
    "Accountant",
    "Plant Manager",
    "Buyer",
    "Office Manager",
    "IT Director",
    "Consultant",
];

/// Departments.
pub(super) const DEPARTMENT: [&str; 7] =
    ["Purchasing", "Sales", "Engineering", "Finance", "Operations", "IT", "Legal"];
