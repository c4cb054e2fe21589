import{chunk_6TLX4C7Y_a as m,chunk_6TLX4C7Y_b as g,chunk_6TLX4C7Y_d as b}from"./first-6098EC48.js";import{chunk_DGWRTOSR_b as h}from"./first-6098EC48.js";var k=`
Abidjan||5.35|-4.03
Abu Dhabi||24.45|54.38
Abuja||9.06|7.49
Accra||5.6|-0.19
Addis Ababa|Addis Abeba|9.02|38.75
Adelaide||-34.93|138.6
Ahmedabad||23.03|72.58
Algiers|Algier|36.75|3.06
Almaty||43.24|76.9
Amman||31.95|35.93
Amsterdam||52.37|4.9
Anchorage||61.22|-149.9
Ankara||39.93|32.86
Antananarivo||-18.88|47.51
Antwerp|Antwerpen|51.22|4.4
Asuncion|Asunci\xF3n|-25.28|-57.64
Athens|Athen|37.98|23.73
Atlanta||33.75|-84.39
Auckland||-36.85|174.76
Baghdad|Bagdad|33.31|44.36
Baku||40.41|49.87
Bamako||12.64|-8
Bangkok||13.76|100.5
Bangui||4.39|18.56
Barcelona||41.39|2.17
Basel||47.56|7.59
Beijing|Peking|39.9|116.4
Beirut||33.89|35.5
Belfast||54.6|-5.93
Belgrade|Belgrad|44.79|20.45
Belo Horizonte||-19.92|-43.94
Bengaluru|Bangalore|12.97|77.59
Berlin||52.52|13.405
Bern||46.948|7.447
Bilbao||43.26|-2.93
Birmingham||52.48|-1.9
Bishkek|Bischkek|42.87|74.59
Bogota|Bogot\xE1|4.71|-74.07
Bonn||50.74|7.1
Bordeaux||44.84|-0.58
Boston||42.36|-71.06
Brasilia|Bras\xEDlia|-15.79|-47.88
Bratislava|Pressburg|48.15|17.11
Bremen||53.08|8.8
Brisbane||-27.47|153.03
Brno|Br\xFCnn|49.2|16.61
Brussels|Br\xFCssel,Bruxelles|50.85|4.35
Bucharest|Bukarest|44.43|26.1
Budapest||47.498|19.04
Buenos Aires||-34.6|-58.38
Cairo|Kairo|30.04|31.24
Calgary||51.05|-114.07
Canberra||-35.28|149.13
Cape Town|Kapstadt|-33.92|18.42
Caracas||10.48|-66.9
Casablanca||33.57|-7.59
Chennai|Madras|13.08|80.27
Chicago||41.88|-87.63
Chisinau|Kischinau,Chi\u0219in\u0103u|47.01|28.86
Chongqing||29.56|106.55
Cluj|Klausenburg|46.77|23.6
Cologne|K\xF6ln|50.94|6.96
Colombo||6.93|79.86
Conakry||9.64|-13.58
Copenhagen|Kopenhagen|55.68|12.57
Cordoba|C\xF3rdoba|-31.42|-64.18
Dakar||14.72|-17.47
Dallas||32.78|-96.8
Damascus|Damaskus|33.51|36.29
Dar es Salaam|Daressalam|-6.79|39.21
Debrecen|Debrezin|47.53|21.63
Delhi|New Delhi,Neu-Delhi|28.61|77.21
Denver||39.74|-104.99
Detroit||42.33|-83.05
Dhaka||23.81|90.41
Doha||25.29|51.53
Dortmund||51.51|7.47
Dresden||51.05|13.74
Dubai||25.2|55.27
Dublin||53.35|-6.26
Durban||-29.86|31.02
Dushanbe|Duschanbe|38.56|68.79
D\xFCsseldorf||51.23|6.77
Edinburgh||55.95|-3.19
Essen||51.46|7.01
Florence|Florenz|43.77|11.26
Frankfurt||50.11|8.68
Gdansk|Danzig|54.35|18.65
Geneva|Genf|46.2|6.14
Genoa|Genua|44.41|8.93
Glasgow||55.86|-4.25
Gothenburg|G\xF6teborg|57.71|11.97
Graz||47.07|15.44
Guadalajara||20.67|-103.35
Guangzhou|Kanton|23.13|113.26
Guatemala City|Guatemala-Stadt|14.63|-90.51
Hamburg||53.55|9.99
Hannover|Hanover|52.38|9.73
Hanoi||21.03|105.85
Harare||-17.83|31.05
Havana|Havanna|23.11|-82.37
Helsinki||60.17|24.94
Ho Chi Minh City|Ho-Chi-Minh-Stadt,Saigon|10.82|106.63
Hong Kong|Hongkong|22.32|114.17
Honolulu||21.31|-157.86
Houston||29.76|-95.37
Hyderabad||17.39|78.49
Innsbruck||47.27|11.39
Islamabad||33.68|73.05
Istanbul||41.01|28.98
Jakarta||-6.21|106.85
Jeddah|Dschidda|21.49|39.19
Jerusalem||31.77|35.21
Johannesburg||-26.2|28.05
Kabul||34.56|69.21
Kampala||0.35|32.58
Karachi||24.86|67
Kathmandu||27.72|85.32
Kharkiv|Charkiw|49.99|36.23
Khartoum|Khartum|15.5|32.56
Kigali||-1.94|30.06
Kingston||17.97|-76.79
Kinshasa||-4.44|15.27
Kolkata|Kalkutta|22.57|88.36
Krakow|Krakau,Krak\xF3w|50.06|19.94
Kuala Lumpur||3.14|101.69
Kuwait City|Kuwait|29.38|47.99
Kyiv|Kiew,Kyjiw|50.45|30.52
Kyoto||35.01|135.77
La Paz||-16.49|-68.12
Lagos||6.52|3.38
Lahore||31.55|74.34
Lausanne||46.52|6.63
Leipzig||51.34|12.37
Lima||-12.05|-77.04
Linz||48.31|14.29
Lisbon|Lissabon|38.72|-9.14
Liverpool||53.41|-2.98
Ljubljana|Laibach|46.06|14.51
London||51.507|-0.128
Los Angeles||34.05|-118.24
Luanda||-8.84|13.23
Lusaka||-15.39|28.32
Luxembourg|Luxemburg|49.61|6.13
Lviv|Lemberg|49.84|24.03
Lyon||45.76|4.84
Madrid||40.417|-3.704
Malaga|M\xE1laga|36.72|-4.42
Managua||12.11|-86.24
Manchester||53.48|-2.24
Manila||14.6|120.98
Maputo||-25.97|32.57
Marrakesh|Marrakesch|31.63|-7.98
Marseille||43.3|5.37
Mecca|Mekka|21.39|39.86
Medellin|Medell\xEDn|6.24|-75.58
Melbourne||-37.81|144.96
Mexico City|Mexiko-Stadt|19.43|-99.13
Miami||25.76|-80.19
Milan|Mailand,Milano|45.46|9.19
Minneapolis||44.98|-93.27
Minsk||53.9|27.57
Mogadishu|Mogadischu|2.05|45.32
Monrovia||6.3|-10.8
Monterrey||25.69|-100.32
Montevideo||-34.9|-56.16
Montreal|Montr\xE9al|45.5|-73.57
Moscow|Moskau|55.756|37.617
Mumbai|Bombay|19.08|72.88
Munich|M\xFCnchen|48.137|11.575
Muscat|Maskat|23.59|58.41
Nagoya||35.18|136.91
Nairobi||-1.29|36.82
Naples|Neapel|40.85|14.27
Nassau||25.04|-77.35
New York|Neu York|40.713|-74.006
Nice|Nizza|43.7|7.27
Nicosia|Nikosia|35.19|33.38
Nuremberg|N\xFCrnberg|49.45|11.08
Nuuk||64.18|-51.72
Osaka||34.69|135.5
Oslo||59.91|10.75
Ottawa||45.42|-75.7
Ouagadougou||12.37|-1.52
Palermo||38.12|13.36
Panama City|Panama-Stadt|8.98|-79.52
Paris||48.857|2.352
Perth||-31.95|115.86
Philadelphia||39.95|-75.17
Phnom Penh||11.56|104.93
Phoenix||33.45|-112.07
Podgorica||42.44|19.26
Port Moresby||-9.44|147.18
Port-au-Prince||18.54|-72.34
Porto||41.15|-8.61
Poznan|Posen,Pozna\u0144|52.41|16.93
Prague|Prag,Praha|50.076|14.438
Pretoria||-25.75|28.19
Pristina||42.66|21.17
Pyongyang|Pj\xF6ngjang|39.04|125.76
Quebec|Qu\xE9bec|46.81|-71.21
Quito||-0.18|-78.47
Rabat||34.02|-6.84
Reykjavik|Reykjav\xEDk|64.147|-21.943
Riga||56.95|24.11
Rio de Janeiro||-22.91|-43.17
Riyadh|Riad|24.71|46.68
Rome|Rom,Roma|41.9|12.5
Rosario||-32.95|-60.64
Rotterdam||51.92|4.48
Saint Petersburg|Sankt Petersburg|59.93|30.34
Salzburg||47.81|13.04
Samarkand||39.65|66.96
San Diego||32.72|-117.16
San Francisco||37.775|-122.419
San Jos\xE9||9.93|-84.08
San Juan||18.47|-66.11
San Salvador||13.69|-89.22
Sanaa||15.37|44.19
Santiago|Santiago de Chile|-33.45|-70.67
Santo Domingo||18.49|-69.93
S\xE3o Paulo||-23.55|-46.63
Sapporo||43.06|141.35
Sarajevo||43.86|18.41
Seattle||47.61|-122.33
Seoul||37.57|126.98
Seville|Sevilla|37.39|-5.98
Shanghai||31.23|121.47
Shenzhen||22.54|114.06
Singapore|Singapur|1.35|103.82
Skopje||42|21.43
Sofia||42.7|23.32
Split||43.51|16.44
Stockholm||59.329|18.069
Strasbourg|Stra\xDFburg|48.57|7.75
Stuttgart||48.78|9.18
Surabaya||-7.26|112.75
Suva||-18.12|178.45
Sydney||-33.87|151.21
Szeged|Szegedin|46.25|20.15
Taipei|Taipeh|25.03|121.57
Tallinn||59.44|24.75
Tashkent|Taschkent|41.3|69.24
Tbilisi|Tiflis|41.72|44.79
Tehran|Teheran|35.69|51.39
Tel Aviv||32.09|34.78
The Hague|Den Haag|52.08|4.31
Thessaloniki||40.64|22.94
Tirana||41.33|19.82
Tokyo|Tokio|35.68|139.69
Toronto||43.65|-79.38
Toulouse||43.6|1.44
Trieste|Triest|45.65|13.78
Tripoli|Tripolis|32.89|13.19
Troms\xF8||69.65|18.96
Tunis||36.81|10.18
Turin|Torino|45.07|7.69
Ulaanbaatar|Ulan-Bator|47.89|106.91
Utrecht||52.09|5.12
Valencia||39.47|-0.38
Valletta||35.9|14.51
Vancouver||49.28|-123.12
Venice|Venedig,Venezia|45.44|12.33
Vienna|Wien|48.208|16.373
Vientiane||17.98|102.63
Vilnius|Wilna|54.69|25.28
Warsaw|Warschau,Warszawa|52.23|21.01
Washington||38.9|-77.04
Wellington||-41.29|174.78
Windhoek|Windhuk|-22.56|17.07
Winnipeg||49.9|-97.14
Wroclaw|Breslau,Wroc\u0142aw|51.11|17.04
Wuhan||30.59|114.31
Xi'an||34.34|108.94
Yangon|Rangun|16.84|96.17
Yaounde|Jaunde,Yaound\xE9|3.85|11.5
Yerevan|Jerewan,Eriwan|40.18|44.51
Zagreb||45.81|15.98
Z\xFCrich||47.377|8.541
`;var y=8,A=6371e3,C;function v(a,e){let o=M(a);if(o==="")return[];let t=d().flatMap(n=>{let r=Math.min(...n.keys.map(l=>f(l,o)));return r<p?[{rank:r,city:{name:D(n,o,e),lat:n.lat,lon:n.lon}}]:[]}),i=t.filter(n=>n.rank===0);return(i.length?i:t).sort((n,r)=>n.rank-r.rank).slice(0,y).map(n=>n.city)}function N(a,e){let{level:o}=h(a),[t,i]=b(a),n=g(i,t),r=({lat:s,lon:u})=>Math.hypot(...g(s,u).map((S,B)=>S-n[B]));return d().filter(({lat:s,lon:u})=>m(s,u,o)===a).map(s=>({name:c(s,e),lat:s.lat,lon:s.lon})).sort((s,u)=>r(s)-r(u))}function w(a,e,o){let t=g(a,e),i=r=>Math.hypot(...g(r.lat,r.lon).map((l,s)=>l-t[s])),n=d().reduce((r,l)=>i(l)<i(r)?l:r);return{name:c(n,o),metres:2*Math.asin(i(n)/2)*A}}function c({names:a},e){return a[e==="de"&&a.length>1?1:0]}function d(){return C??=k.trim().split(`
`).map(L)}var p=3;function f(a,e){return a===e?0:a.startsWith(e)?1:a.includes(` ${e}`)?2:p}function D(a,e,o){let t=a.keys.findIndex(i=>i===e);return t>=0?a.names[t]:c(a,o)}function L(a){let[e="",o="",t,i]=a.split("|"),n=[e,...o.split(",").filter(r=>r!=="")];return{names:n,keys:n.map(M),lat:Number(t),lon:Number(i)}}function M(a){return a.normalize("NFD").replace(/\p{M}/gu,"").toLowerCase().replaceAll("\xDF","ss").replaceAll("\xF8","o").replaceAll("\u0142","l").replace(/[^\p{L}\p{N}]+/gu," ").trim()}export{v as a,N as b,w as c};
