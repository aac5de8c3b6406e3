"""The words of generated web traffic, and how often each is used relative to the others."""

EVENT_LABELS = {
    "impression": ("hero", "sidebar", "footer", "pricing", "testimonials"),
    "interaction": ("call-to-action", "menu", "search", "video", "Größe wählen"),
    "widget_visible": ("chat", "newsletter", "booking", "reviews", "map"),
    "form_submit": ("contact form", "newsletter", "booking", "login", "feedback"),
    "conversion": ("signup", "purchase", "demo, requested", 'plan "pro"', "referral"),
}
EVENT_TYPE_WEIGHTS = (40, 25, 20, 10, 5)
LABEL_WEIGHTS = (40, 25, 18, 12, 5)

PAGE_WEIGHTS = {"home": 35, "profile": 30, "contact": 20, "portfolio": 15}

CLICK_WEIGHTS = {
    ("contact", "phone"): 14,
    ("contact", "email"): 12,
    ("contact", "save-contact"): 10,
    ("messaging", "whatsapp"): 12,
    ("messaging", "telegram"): 4,
    ("messaging", "sms"): 3,
    ("social", "linkedin"): 10,
    ("social", "instagram"): 9,
    ("social", "x"): 3,
    ("portfolio", "portfolio-item-1"): 6,
    ("portfolio", "portfolio-item-2"): 4,
    ("aiAgent", "open-chat"): 5,
    ("aiAgent", "ask"): 3,
    ("other", "website"): 3,
    ("other", None): 2,
}

PATHS = ("/", "/pricing", "/blog/launch?utm_source=newsletter", "/docs", "/über-uns", "/東京")
REFERRERS = (
    None,
    None,
    "https://www.google.com/",
    "https://www.linkedin.com/feed/",
    "https://t.co/a1b2c3",
    "https://news.example.org/story?id=7&ref=home",
    "android-app://com.whatsapp/",
    "https://mail.example.net/",
)
USER_AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile "
    "Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 "
    "Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    None,
)

# Kept for documentation (RFC 5737, RFC 3849).
DOCUMENTATION_NETWORKS = ("192.0.2.0", "198.51.100.0", "203.0.113.0", "2001:db8::")

# Of a day's sessions, by the hour in which they start, Monday to Sunday of a week.
HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 12, 12, 13, 13, 12, 11, 10, 10, 9, 7, 5, 3)
WEEKDAY_WEIGHTS = (1.12, 1.16, 1.15, 1.13, 1.05, 0.68, 0.71)  # 7.0 in all: an average week is what was asked for
HOURS_FROM_UTC = (0, -5, 1, 8)  # projects take turns
