"""Tables as vendors and offices deliver them, small: what the reader must make of each."""

import datetime
from collections.abc import Callable, Iterable
from typing import NamedTuple

ROWS = 40


class Delivered(NamedTuple):
    """A file and what is to be read from it.

    Attributes:
        content: of the file.
        keys: of the task beside the path.
        column: that is predicted.
        first: its first value in the order of time.
        notes: words that its notes must have.
    """

    content: str
    keys: dict[str, object]
    column: str
    first: float
    notes: tuple[str, ...]


def days(rows: int = ROWS) -> list[datetime.date]:
    """Days on which exchanges are open."""
    every = (datetime.date(2024, 1, 1) + datetime.timedelta(day) for day in range(2 * rows))
    return [day for day in every if day.weekday() < 5][:rows]


def price(row: int) -> float:
    """Some price, in cents."""
    return round(1180 + 10 * ((row * 7) % 11) + row / 4, 2)


def lines(header: str, row: Callable[[int, datetime.date], str], backwards: bool = False) -> str:
    """A header and a line a day."""
    body = [row(i, day) for i, day in enumerate(days())]
    return "\n".join([header, *(reversed(body) if backwards else body)]) + "\n"


def german(number: float) -> str:
    """1.234,56."""
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def ohlc(number: float, write: Callable[[float], str] = "{:.2f}".format) -> str:
    """Open, high, low, close."""
    return ",".join(write(number + step) for step in (1, 3, -2, 0))


def yfinance_new() -> str:
    head = "Price,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\n"
    return head + lines("Date,,,,,", lambda i, d: f"{d},{price(i)},{price(i) + 2},{price(i) - 2},{price(i)},{1000 + i}")


def several_tickers(corner: str) -> str:
    head = f"{corner}Close,Close,Volume,Volume\n{'Ticker' if corner != ',' else ''},AAPL,MSFT,AAPL,MSFT\n"
    return head + lines("Date,,,,", lambda i, d: f"{d},{price(i)},{2 * price(i)},{i},{i + 1}")


def by_month(rows: Iterable[int], write: Callable[[int, int], str]) -> str:
    return "\n".join(f"{write(2010 + i // 12, i % 12 + 1)},{i % 5 + 1}" for i in rows) + "\n"


HIGH = "Date,Open,High,Low,Close,Adj Close,Volume"
QUOTED = '"Date","Price","Open","High","Low","Vol.","Change %"'
VENDORS: dict[str, Delivered] = {
    "Yahoo Finance": Delivered(
        lines(HIGH, lambda i, d: f"{d},{ohlc(price(i))},{price(i)},{i}000"), {}, "Close", 1180.0, ("Yahoo Finance",)
    ),
    "yfinance with UTC offsets": Delivered(
        lines(
            "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits",
            lambda i, d: f"{d} 00:00:00-0{5 - (i > 20)}:00,{ohlc(price(i))},{i}000,0.0,0.0",
        ),
        {}, "Close", 1180.0, ("yfinance",),
    ),
    "yfinance with a header of three lines": Delivered(yfinance_new(), {}, "Close", 1180.0, ("3 lines", "AAPL")),
    "yfinance, two tickers": Delivered(
        several_tickers("Price,"), {"targets": ["Close MSFT"]}, "Close MSFT", 2360.0, ("3 lines",)
    ),
    "yfinance, two tickers, older": Delivered(
        several_tickers(","), {"targets": ["Close AAPL"]}, "Close AAPL", 1180.0, ("3 lines",)
    ),
    "yfinance, intraday": Delivered(
        lines("Datetime,Open,High,Low,Close,Volume", lambda i, d: f"{d} 09:30:00-05:00,{ohlc(price(i))},{i}"),
        {}, "Close", 1180.0, ("'Datetime' holds the times",),
    ),
    "Nasdaq": Delivered(
        lines(
            "Date,Close/Last,Volume,Open,High,Low",
            lambda i, d: f"{d:%m/%d/%Y},${price(i)},{i}000,${price(i)},${price(i)},${price(i)}",
            backwards=True,
        ),
        {}, "Close/Last", 1180.0, ("Nasdaq", "%m/%d/%Y", "turned round", "without its $"),
    ),
    "investing.com, USA": Delivered(
        "\ufeff" + lines(
            QUOTED,
            lambda i, d: f'"{d:%m/%d/%Y}","{price(i):,.2f}","{price(i):,.2f}","9","8","{i + 1}.30M","{i / 10:.2f}%"',
            backwards=True,
        ),
        {"features": ["Vol.", "Change %"]}, "Price", 1180.0, ("investing.com", "turned round", "M = 1,000,000", "'%'"),
    ),
    "investing.com, Germany": Delivered(
        lines(
            QUOTED,
            lambda i, d: f'"{d:%d.%m.%Y}","{german(price(i))}","9,3","9,1","8,2","{i + 1},30K","{i},25%"',
            backwards=True,
        ),
        {"features": ["Vol."]}, "Price", 1180.0, ("comma is the decimal sign", "%d.%m.%Y", "K = 1,000"),
    ),
    "FRED until 2024": Delivered(
        "DATE,GDP\n" + by_month(range(ROWS), lambda y, m: f"{y}-{m:02}-01"), {}, "GDP", 1.0, ("'DATE'", "'GDP'")
    ),
    "FRED": Delivered(
        "observation_date,DGS10\n"
        + by_month(range(ROWS), lambda y, m: f"{y}-{m:02}-01").replace("2010-03-01,3", "2010-03-01,."),
        {"missing": "drop"}, "DGS10", 1.0, ("observation_date", "1 of 40 rows"),
    ),
    "Stooq": Delivered(
        lines("Date,Open,High,Low,Close,Volume", lambda i, d: f"{d},{ohlc(price(i))},{i}.5"), {}, "Close", 1180.0, ()
    ),
    "Stooq, archive": Delivered(
        lines(
            "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
            lambda i, d: f"AAPL.US,D,{d:%Y%m%d},000000,{ohlc(price(i))},{i},0",
        ),
        {}, "<CLOSE>", 1180.0, ("<DATE>",),
    ),
    "MetaTrader": Delivered(
        lines(
            "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>",
            lambda i, d: f"{d:%Y.%m.%d}\t{ohlc(price(i))}\t{i}".replace(",", "\t"),
        ),
        {}, "<CLOSE>", 1180.0, ("tab",),
    ),
    "Alpha Vantage": Delivered(
        lines("timestamp,open,high,low,close,volume", lambda i, d: f"{d},{ohlc(price(i))},{i}", backwards=True),
        {}, "close", 1180.0, ("timestamp", "turned round"),
    ),
    "CryptoDataDownload": Delivered(
        "https://www.CryptoDataDownload.com\n"
        + lines("unix,date,symbol,open,close", lambda i, d: f"{i},{d} 00:00:00,BTC/USD,{price(i)},{price(i)}", True),
        {"targets": ["close"]}, "close", 1180.0, ("1 lines above the header", "turned round"),
    ),
    "World Bank, one series": Delivered(
        '"Data Source","World Development Indicators",\n\n"Last Updated Date","2024-06-28",\n\n'
        + lines('"Year","GDP","Population","Area"', lambda i, d: f'"{1960 + i}","{i + 1}.5","{i}","7"'),
        {"targets": ["GDP"]}, "GDP", 1.5, ("2 lines above the header", "'Year'"),
    ),
    "ECB": Delivered(
        lines("DATE,TIME PERIOD,Rate (EXR.D.USD)", lambda i, d: f"{d},{d:%d %b %Y},{price(i) / 1000}"),
        {}, "Rate (EXR.D.USD)", 1.18, (),
    ),
    "OECD, quarters": Delivered(
        "\n".join(["TIME_PERIOD,OBS_VALUE", *(f"{2000 + i // 4}-Q{i % 4 + 1},{i % 7 + 1}" for i in range(ROWS))]),
        {}, "OBS_VALUE", 1.0, ("quarters",),
    ),
    "IMF, months": Delivered(
        "Period,Value\n" + by_month(range(ROWS), lambda y, m: f"{y}M{m:02}"), {}, "Value", 1.0, ("%YM%m",)
    ),
    "NOAA, numbered months": Delivered(
        "# Global temperature\n# Missing: -999\nDate,Anomaly\n" + by_month(range(ROWS), lambda y, m: f"{y}{m:02}"),
        {}, "Anomaly", 1.0, ("2 lines above", "%Y%m"),
    ),
    "UCI, air quality": Delivered(
        lines(
            "Date;Time;CO(GT);T;;",
            lambda i, d: f"{d:%d/%m/%Y};{i % 24:02}.00.00;{i % 5 + 1},6;{i % 7},5;;".replace("\n", ""),
        ) + ";;;;;\n;;;;;\n",
        {"date": ["Date", "Time"], "targets": ["CO(GT)"]}, "CO(GT)", 1.6,
        ("semicolon", "comma is", "empty last column"),
    ),
    "UCI, power consumption": Delivered(
        lines(
            "Date;Time;Global_active_power;Global_reactive_power",
            lambda i, d: f"{d.day}/{d.month}/{d.year};{i % 24:02}:24:00;{i % 5 + 1}.216;0.418",
        ).replace(";3.216", ";?", 1),
        {"date": ["Date", "Time"], "targets": ["Global_active_power"], "missing": "forward"}, "Global_active_power",
        1.216, ("%d/%m/%Y %H:%M:%S",),
    ),
    "Excel, Germany": Delivered(
        "sep=;\n" + lines("Datum;Kurs", lambda i, d: f"{d:%d.%m.%Y};{german(price(i))}").replace("\n", "\r\n"),
        {}, "Kurs", 1180.0, ("CRLF", "comma is the decimal sign"),
    ),
    "Excel, France": Delivered(
        lines("date;cours", lambda i, d: f"{d:%d/%m/%Y};{price(i):,.2f} €".replace(",", "\u202f").replace(".", ",")),
        {}, "cours", 1180.0, ("'€'",),
    ),
    "Excel, Switzerland": Delivered(
        lines("date;Kurs", lambda i, d: f"{d:%d.%m.%Y};{price(i):,.2f}".replace(",", "'")), {}, "Kurs", 1180.0, (),
    ),
    "a pandas export without an index name": Delivered(
        lines(",value", lambda i, d: f"{d},{price(i)}"), {}, "value", 1180.0, ("'Unnamed: 0' holds the times",)
    ),
    "a trailing comma": Delivered(
        lines("date,value,", lambda i, d: f"{d},{price(i)},"), {}, "value", 1180.0, ("empty last column",)
    ),
    "a trailing comma below the header alone": Delivered(
        lines("date,value", lambda i, d: f"{d},{price(i)},"), {}, "value", 1180.0, ("empty last column",)
    ),
    "row numbers": Delivered(
        lines("t,value", lambda i, d: f"{i + 1},{price(i)}"), {}, "value", 1180.0, ("places of rows in time",)
    ),
    "seconds since 1970": Delivered(
        lines("timestamp,value", lambda i, d: f"{1700000000 + 60 * i},{price(i)}"), {}, "value", 1180.0, ("1970 in s",)
    ),
    "no time at all": Delivered(lines("value", lambda i, d: f"{price(i)}"), {"date": None}, "value", 1180.0, ()),
    "pipes": Delivered(lines("date|value", lambda i, d: f"{d}|{price(i)}"), {}, "value", 1180.0, ("pipe",)),
    "months in words": Delivered(
        lines("Date,Value", lambda i, d: f'"{d:%b %d, %Y}",{price(i)}'), {}, "Value", 1180.0, ("%b %d, %Y",)
    ),
    "an accountant's brackets": Delivered(
        lines("date,value", lambda i, d: f"{d},({i + 1}.5)" if i % 2 else f"{d},{i + 1}.5"),
        {}, "value", 1.5, ("brackets",),
    ),
    "afternoons": Delivered(
        lines("Time,Value", lambda i, d: f"{d:%m/%d/%Y} 3:{i:02} PM,{price(i)}"), {}, "Value", 1180.0, ("%I:%M %p",)
    ),
}  # fmt: skip
