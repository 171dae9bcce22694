// Writes the rows of row.py and the times of times.py with Telegraf's and OpenTelemetry's serializers and with shopspring/decimal: one
// file each in the folder named by the argument.
package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/metric"
	telegrafjson "github.com/influxdata/telegraf/plugins/serializers/json"
	"github.com/shopspring/decimal"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const (
	count = 60
	times = 40
)

type row struct {
	I, M, N, X, Y float64
}

func of(k int) row {
	row := row{float64(k % 11), float64(k % 13), float64(k % 7), float64(k%50) / 8, float64(k%5) + float64(k%50)/8}
	if k%5 == 2 {
		row.I = math.Inf(k%2*2 - 1)
	}
	if k%4 == 3 {
		row.M = math.NaN()
	}
	if k%3 == 1 {
		row.N = math.NaN()
	}
	return row
}

func at(k int) time.Time { return time.UnixMilli(1774747800000 + 7500*int64(k)).UTC() }

// lines writes what write returns without an end of its line.
func lines(name string, count int, write func(k int) ([]byte, error)) {
	file, err := os.Create(filepath.Join(os.Args[1], name+".jsonl"))
	if err != nil {
		panic(err)
	}
	defer file.Close()
	for k := 0; k < count; k++ {
		line, err := write(k)
		if err != nil {
			panic(err)
		}
		if _, err := file.Write(append(line, '\n')); err != nil {
			panic(err)
		}
	}
}

// trimmed returns a line without its end.
func trimmed(line []byte, err error) ([]byte, error) { return bytes.TrimRight(line, "\n"), err }

func metrics(k int) telegraf.Metric {
	row := of(k)
	fields := map[string]any{"i": row.I, "n": row.N, "x": row.X, "y": row.Y}
	if !math.IsNaN(row.M) {
		fields["m"] = row.M
	}
	return metric.New("rows", map[string]string{"host": "a"}, fields, at(k))
}

// asTelegraf writes them with data_format = "json", each alone, and ten at once.
func asTelegraf() {
	serializer := func(units time.Duration) *telegrafjson.Serializer {
		serializer := &telegrafjson.Serializer{TimestampUnits: config.Duration(units)}
		if err := serializer.Init(); err != nil {
			panic(err)
		}
		return serializer
	}
	seconds := serializer(time.Second)
	one := func(serializer *telegrafjson.Serializer) func(k int) ([]byte, error) {
		return func(k int) ([]byte, error) { return trimmed(serializer.Serialize(metrics(k))) }
	}
	lines("rows/telegraf", count, one(seconds))
	lines("rows/telegraf_batch", count/10, func(k int) ([]byte, error) {
		batch := make([]telegraf.Metric, 10)
		for each := range batch {
			batch[each] = metrics(10*k + each)
		}
		return trimmed(seconds.SerializeBatch(batch))
	})
	lines("times/telegraf_s", times, one(seconds))
	lines("times/telegraf_ms", times, one(serializer(time.Millisecond)))
	lines("times/telegraf_ns", times, one(serializer(time.Nanosecond)))
}

// asOTLP writes an export of one point for each field.
func asOTLP() {
	marshaler := &pmetric.JSONMarshaler{}
	lines("rows/otlp", count/10, func(k int) ([]byte, error) {
		row := of(k)
		metrics := pmetric.NewMetrics()
		resource := metrics.ResourceMetrics().AppendEmpty()
		resource.Resource().Attributes().PutStr("host.name", "a")
		scope := resource.ScopeMetrics().AppendEmpty()
		for place, value := range []float64{row.X, row.Y} {
			metric := scope.Metrics().AppendEmpty()
			metric.SetName([]string{"x", "y"}[place])
			point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
			point.SetTimestamp(pcommon.NewTimestampFromTime(at(k)))
			point.SetDoubleValue(value)
		}
		return marshaler.MarshalMetrics(metrics)
	})
}

type priced struct {
	I *float64        `json:"i"`
	M *float64        `json:"m"`
	N *float64        `json:"n"`
	X decimal.Decimal `json:"x"`
	Y *float64        `json:"y"`
}

func known(value float64) *float64 {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return nil
	}
	return &value
}

// asDecimals writes them as text, and as numbers.
func asDecimals() {
	for _, name := range []string{"rows/shopspring_decimal", "rows/shopspring_decimal_bare"} {
		decimal.MarshalJSONWithoutQuotes = name == "rows/shopspring_decimal_bare"
		lines(name, count, func(k int) ([]byte, error) {
			row := of(k)
			x := decimal.New(int64(k%50*125), -3)
			return json.Marshal(priced{known(row.I), known(row.M), known(row.N), x, known(row.Y)})
		})
	}
	decimal.MarshalJSONWithoutQuotes = false
	lines("times/shopspring_decimal", times, func(k int) ([]byte, error) {
		t := decimal.New(at(k).UnixMilli(), -3)
		return json.Marshal(map[string]any{"t": t, "id": "k" + strconv.Itoa(k), "x": k % 7, "y": k%7 + 1})
	})
}

func main() {
	asTelegraf()
	asOTLP()
	asDecimals()
}
