// Writes the rows as Telegraf does with data_format = "json", to standard output.
package main

import (
	"math"
	"os"
	"time"

	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/plugins/serializers/json"
)

func main() {
	serializer := &json.Serializer{}
	if err := serializer.Init(); err != nil {
		panic(err)
	}
	for k := 0; k < 300; k++ {
		fields := map[string]any{"i": float64(k % 11), "m": float64(k % 13), "n": float64(k % 7), "x": float64(k%50) / 8}
		fields["y"] = float64(k%5) + float64(k%50)/8
		if k%5 == 2 {
			fields["i"] = math.Inf(k%2*2 - 1)
		}
		if k%4 == 3 {
			delete(fields, "m")
		}
		if k%3 == 1 {
			fields["n"] = math.NaN()
		}
		tags := map[string]string{"host": "a"}
		line, err := serializer.Serialize(metric.New("rows", tags, fields, time.Unix(1774747800+int64(k), 0)))
		if err != nil {
			panic(err)
		}
		if _, err := os.Stdout.Write(line); err != nil {
			panic(err)
		}
	}
}
